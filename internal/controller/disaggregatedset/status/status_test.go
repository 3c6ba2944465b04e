// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
)

var now = metav1.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// newSet returns a set that wants 2 groups of prefill and 1 of decode in each slice.
func newSet(slices int32, children ...snapshot.Child) *snapshot.Set {
	set := &disaggregatedsetv1.DisaggregatedSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "llama", Generation: 4},
		Spec: disaggregatedsetv1.DisaggregatedSetSpec{
			Slices: ptr.To(slices),
			Roles:  []disaggregatedsetv1.DisaggregatedRoleSpec{{Name: "prefill"}, {Name: "decode"}},
		},
	}
	set.Spec.Roles[0].Spec.Replicas = ptr.To[int32](2)
	set.Spec.Roles[1].Spec.Replicas = ptr.To[int32](1)
	set.Default()
	return &snapshot.Set{
		DSet: set, Children: children, Scalers: map[string]*disaggregatedsetv1.DisaggregatedSetRoleScaler{},
	}
}

// child returns a LeaderWorkerSet of the first slice whose status describes its spec.
func child(role, revision string, replicas, ready int32) snapshot.Child {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("llama-0-%s-%s", revision, role), Generation: 2,
	}}
	lws.Spec.Replicas = ptr.To(replicas)
	lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{
		Replicas: replicas, ReadyReplicas: ready, ObservedGeneration: lws.Generation,
	}
	return snapshot.Child{LWS: lws, Role: role, Revision: revision}
}

// changed returns a child after a change.
func changed(child snapshot.Child, change func(*leaderworkersetv1.LeaderWorkerSet)) snapshot.Child {
	change(child.LWS)
	return child
}

func inSlice(slice int32, child snapshot.Child) snapshot.Child {
	child.Slice = slice
	return child
}

// TestCounts compares what the status says of the groups of all roles, and whether the set is available.
func TestCounts(t *testing.T) {
	unobserved := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Generation++ }
	terminating := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.DeletionTimestamp = &now }
	for _, tc := range []struct {
		name      string
		set       *snapshot.Set
		updating  bool
		summary   string
		counts    [][3]int32 // exist, ready, updated
		available bool
	}{
		{"nothing exists", newSet(1), false, "prefill 0/2, decode 0/1", [][3]int32{{}, {}}, false},
		{
			"all is ready",
			newSet(1, child("prefill", "new", 2, 2), child("decode", "new", 1, 1)),
			false, "prefill 2/2, decode 1/1", [][3]int32{{2, 2, 2}, {1, 1, 1}}, true,
		},
		{
			"a group isn't ready",
			newSet(1, child("prefill", "new", 2, 1), child("decode", "new", 1, 1)),
			false, "prefill 1/2, decode 1/1", [][3]int32{{2, 1, 2}, {1, 1, 1}}, false,
		},
		{
			"the second slice is missing",
			newSet(2, child("prefill", "new", 2, 2), child("decode", "new", 1, 1)),
			false, "prefill 2/4, decode 1/2", [][3]int32{{2, 2, 2}, {1, 1, 1}}, false,
		},
		{
			"both slices are ready",
			newSet(2, child("prefill", "new", 2, 2), child("decode", "new", 1, 1),
				inSlice(1, child("prefill", "new", 2, 2)), inSlice(1, child("decode", "new", 1, 1))),
			false, "prefill 4/4, decode 2/2", [][3]int32{{4, 4, 4}, {2, 2, 2}}, true,
		},
		{
			"in the middle of a rollout",
			newSet(1, child("prefill", "new", 1, 1), child("decode", "new", 1, 0),
				child("prefill", "old", 2, 2), child("decode", "old", 1, 1)),
			true, "prefill 3/2, decode 1/1", [][3]int32{{3, 3, 1}, {2, 1, 1}}, false,
		},
		{
			"as many groups as asked for, of two revisions",
			newSet(1, child("prefill", "new", 1, 1), child("decode", "new", 1, 1), child("prefill", "old", 1, 1)),
			true, "prefill 2/2, decode 1/1", [][3]int32{{2, 2, 1}, {1, 1, 1}}, false,
		},
		{
			"a status of an older spec",
			newSet(1, changed(child("prefill", "new", 2, 2), unobserved), child("decode", "new", 1, 1)),
			false, "prefill 2/2, decode 1/1", [][3]int32{{2, 2, 2}, {1, 1, 1}}, false,
		},
		{
			"a terminating child counts nothing",
			newSet(1, child("prefill", "new", 2, 2), child("decode", "new", 1, 1),
				changed(child("prefill", "old", 2, 2), terminating)),
			false, "prefill 2/2, decode 1/1", [][3]int32{{2, 2, 2}, {1, 1, 1}}, true,
		},
		{
			"a role that the spec no longer has",
			newSet(1, child("prefill", "new", 2, 2), child("decode", "new", 1, 1), child("encode", "old", 1, 1)),
			true, "prefill 2/2, decode 1/1", [][3]int32{{2, 2, 2}, {1, 1, 1}}, false,
		},
	} {
		next, _ := status.Next(status.Input{Set: tc.set, Revision: "new", Updating: tc.updating, Now: now})
		if next.Summary != tc.summary || next.UpdateRevision != "new" || next.ObservedGeneration != 4 {
			t.Errorf("%s: %+v", tc.name, next)
		}
		var counts [][3]int32
		for _, role := range next.RoleStatuses {
			counts = append(counts, [3]int32{role.Replicas, role.ReadyReplicas, role.UpdatedReplicas})
		}
		if diff := cmp.Diff(tc.counts, counts); diff != "" {
			t.Errorf("%s: counts (-want +got):\n%s", tc.name, diff)
		}
		for kind, want := range map[string]bool{
			disaggregatedsetv1.ConditionAvailable: tc.available, disaggregatedsetv1.ConditionProgressing: !tc.available,
			disaggregatedsetv1.ConditionUpdateInProgress: tc.updating, disaggregatedsetv1.ConditionReconciling: !tc.available,
		} {
			if meta.IsStatusConditionTrue(next.Conditions, kind) != want {
				t.Errorf("%s: %s isn't %t: %+v", tc.name, kind, want, next.Conditions)
			}
		}
	}
}

// TestFailures compares the conditions that report what is in the way.
func TestFailures(t *testing.T) {
	with := func(kind, reason, message string) func(*leaderworkersetv1.LeaderWorkerSet) {
		return func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Status.Conditions = []metav1.Condition{
				{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message},
			}
		}
	}
	refused := changed(child("decode", "new", 1, 0),
		with(leaderworkersetv1.ConditionReplicaFailure, "FailedCreate", "the quota is used up"))
	degraded := changed(child("decode", "new", 1, 0),
		with(leaderworkersetv1.ConditionDegraded, "ReplicaRestartBudgetExceeded", "group 0 has crashed too often"))
	conflict := &status.Obstacle{Reason: disaggregatedsetv1.ReasonScalerConflict, Message: "llama-decode is somebody's"}
	for _, tc := range []struct {
		name     string
		child    snapshot.Child
		obstacle *status.Obstacle
		want     map[string]string // type to reason and message
	}{
		{"nothing", child("decode", "new", 1, 1), nil, map[string]string{}},
		{
			"a child is refused pods", refused, nil,
			map[string]string{
				"ReplicaFailure": "FailedCreate: role decode, LeaderWorkerSet llama-0-new-decode: the quota is used up",
			},
		},
		{
			"a child has given up a group", degraded, nil,
			map[string]string{
				"Degraded": "ReplicaRestartBudgetExceeded: role decode, LeaderWorkerSet llama-0-new-decode: " +
					"group 0 has crashed too often",
				"Stalled": "ReplicaRestartBudgetExceeded: role decode, LeaderWorkerSet llama-0-new-decode: " +
					"group 0 has crashed too often",
			},
		},
		{
			"a child of the set itself is refused", refused, conflict,
			map[string]string{"ReplicaFailure": "ScalerConflict: llama-decode is somebody's"},
		},
	} {
		set := newSet(1, child("prefill", "new", 2, 2), tc.child)
		next, events := status.Next(status.Input{Set: set, Revision: "new", Obstacle: tc.obstacle, Now: now})
		got := map[string]string{}
		for _, c := range next.Conditions {
			switch c.Type {
			case disaggregatedsetv1.ConditionReplicaFailure, disaggregatedsetv1.ConditionDegraded,
				disaggregatedsetv1.ConditionStalled:
				got[c.Type] = c.Reason + ": " + c.Message
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		warnings := 0
		for _, event := range events {
			if event.Type == "Warning" {
				warnings++
			}
		}
		if want := min(1, len(tc.want)); warnings != want {
			t.Errorf("%s: events %+v", tc.name, events)
		}
		set.DSet.Status = next
		for who, obstacle := range map[string]*status.Obstacle{
			"the next pass": tc.obstacle, "the first pass after a restart": status.Reported(next.Conditions),
		} {
			again, repeated := status.Next(status.Input{Set: set, Revision: "new", Obstacle: obstacle, Now: now})
			if diff := cmp.Diff(next, again); diff != "" || len(repeated) > 0 {
				t.Errorf("%s: %s changes the status, or records %+v:\n%s", tc.name, who, repeated, diff)
			}
		}
	}
}

// TestEvents goes through the life of a set and compares the reasons of events.
func TestEvents(t *testing.T) {
	set := newSet(1)
	for _, tc := range []struct {
		name     string
		children []snapshot.Child
		updating bool
		want     string
	}{
		{"created", nil, false, ""},
		{"ready", []snapshot.Child{child("prefill", "new", 2, 2), child("decode", "new", 1, 1)}, false, "AllRolesReady"},
		{
			"a rollout begins",
			[]snapshot.Child{child("prefill", "old", 2, 2), child("decode", "old", 1, 1), child("prefill", "new", 1, 0)},
			true, "",
		},
		{
			"the rollout ends",
			[]snapshot.Child{child("prefill", "new", 2, 2), child("decode", "new", 1, 1)},
			false, "AllRolesReady RollingUpdateCompleted",
		},
		{"a group fails", []snapshot.Child{child("prefill", "new", 2, 1), child("decode", "new", 1, 1)}, false, ""},
		{
			"the group is back", []snapshot.Child{child("prefill", "new", 2, 2), child("decode", "new", 1, 1)},
			false, "AllRolesReady",
		},
	} {
		set.Children = tc.children
		next, events := status.Next(status.Input{Set: set, Revision: "new", Updating: tc.updating, Now: now})
		set.DSet.Status = next
		var reasons []string
		for _, event := range events {
			reasons = append(reasons, event.Reason)
		}
		if got := strings.Join(reasons, " "); got != tc.want {
			t.Errorf("%s: events %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestRolledOut compares how long a rollout took that has ended between two statuses.
func TestRolledOut(t *testing.T) {
	updating := func(status metav1.ConditionStatus, since time.Duration) []metav1.Condition {
		return []metav1.Condition{{
			Type: disaggregatedsetv1.ConditionUpdateInProgress, Status: status,
			LastTransitionTime: metav1.NewTime(now.Add(-since)),
		}}
	}
	for _, tc := range []struct {
		name          string
		before, after []metav1.Condition
		took          time.Duration
		ended         bool
	}{
		{"the first pass", nil, updating(metav1.ConditionFalse, 0), 0, false},
		{"it begins", updating(metav1.ConditionFalse, time.Hour), updating(metav1.ConditionTrue, 0), 0, false},
		{"it goes on", updating(metav1.ConditionTrue, time.Hour), updating(metav1.ConditionTrue, time.Hour), 0, false},
		{"it ends", updating(metav1.ConditionTrue, time.Hour), updating(metav1.ConditionFalse, 0), time.Hour, true},
		{"there is none", updating(metav1.ConditionFalse, time.Hour), updating(metav1.ConditionFalse, time.Hour), 0, false},
	} {
		if took, ended := status.RolledOut(tc.before, tc.after); took != tc.took || ended != tc.ended {
			t.Errorf("%s: %v, %t", tc.name, took, ended)
		}
	}
}

// TestScaler compares the status of a scaler with the groups of its role.
func TestScaler(t *testing.T) {
	terminating := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.DeletionTimestamp = &now }
	set := newSet(1, child("decode", "new", 1, 0), child("decode", "old", 2, 2), child("prefill", "new", 8, 8),
		changed(child("decode", "older", 4, 4), terminating))
	scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{ObjectMeta: metav1.ObjectMeta{Generation: 9}}
	got := status.Scaler(set, "decode", scaler, now)
	want := disaggregatedsetv1.DisaggregatedSetRoleScalerStatus{
		Replicas: 3, ObservedGeneration: 9,
		Selector: "disaggregatedset.x-k8s.io/name=llama,disaggregatedset.x-k8s.io/role=decode," +
			"leaderworkerset.sigs.k8s.io/worker-index=0",
		Conditions: []metav1.Condition{{
			Type: "Ready", Status: metav1.ConditionTrue, Reason: "Bound", ObservedGeneration: 9, LastTransitionTime: now,
			Message: "scales role decode of DisaggregatedSet llama",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	scaler.Status = got
	if diff := cmp.Diff(got, status.Scaler(set, "decode", scaler, metav1.NewTime(now.Add(time.Hour)))); diff != "" {
		t.Errorf("the next pass changes the status (-before +after):\n%s", diff)
	}
}
