// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

var createdAt = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// uninjected is the input of a decision on a set of 1 group of 1, whose leader was created without the webhook that
// long ago.
func uninjected(age time.Duration, entry restart.Entry, change func(*restart.Input)) restart.Input {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "set"}}
	lws.Default()
	leaders := &appsv1.StatefulSet{ObjectMeta: owned("a", "leaders", lws, "LeaderWorkerSet")}
	leader := &corev1.Pod{ObjectMeta: owned("a-0", "leader", leaders, "StatefulSet")}
	leader.CreationTimestamp = metav1.NewTime(createdAt)
	leader.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	in := restart.Input{
		Set: &snapshot.Set{
			LWS: lws, Leaders: leaders, Groups: []snapshot.Group{{Leader: leader, Uninjected: leader}},
		},
		Replicas: 1, Record: restart.Record{0: entry}, Now: createdAt.Add(age), Options: restart.DefaultOptions(),
	}
	change(&in)
	return in
}

func TestNextUninjected(t *testing.T) {
	none := func(in *restart.Input) {
		in.Set.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
	}
	noRestarts := func(in *restart.Input) {
		in.Set.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
	}
	crashed := func(in *restart.Input) {
		failure := restart.Failure{Message: "it crashed", Crashed: true}
		in.Incarnations = map[int32]restart.Incarnation{0: {Leader: "leader", Failure: failure}}
	}
	known := func(leader types.UID, ago time.Duration) func(*restart.Input) {
		return func(in *restart.Input) {
			in.Leaders = restart.Leaders{0: {UID: leader, UninjectedAt: in.Now.Add(-ago)}}
		}
	}
	for _, tc := range []struct {
		what   string
		age    time.Duration
		before int32
		change func(*restart.Input)
		wait   time.Duration // 0 for a restart now
	}{
		{"soon back", 3 * time.Second, 0, func(*restart.Input) {}, 7 * time.Second},
		{"the first time", 10 * time.Second, 0, func(*restart.Input) {}, 0},
		{"the second time, too early", 10 * time.Second, 1, func(*restart.Input) {}, 10 * time.Second},
		{"the second time", 20 * time.Second, 1, func(*restart.Input) {}, 0},
		{"for days", 10 * time.Second, 1000, func(*restart.Input) {}, 290 * time.Second},
		{"policy None", 10 * time.Second, 0, none, 0},
		{"policy None, the second time", 10 * time.Second, 1, none, 10 * time.Second},
		{"no restarts for crashes", 10 * time.Second, 0, noRestarts, 0},
		{"created in the future", -time.Hour, 0, func(*restart.Input) {}, 10 * time.Second},
		{"created in the future, known for a while", -time.Hour, 0, known("leader", 7*time.Second), 3 * time.Second},
		{"created in the future, known for longer", -time.Hour, 0, known("leader", 10*time.Second), 0},
		{"created in the future, known of another leader", -time.Hour, 0, known("other", time.Minute), 10 * time.Second},
		{"created and known in the future", -time.Hour, 0, known("leader", -time.Minute), 10 * time.Second},
		{"it crashes as well", 3 * time.Second, 0, crashed, 7 * time.Second},
		{"it has crashed as well", 10 * time.Second, 0, crashed, 0},
	} {
		before := restart.Entry{Uninjected: tc.before}
		decision := restart.Next(uninjected(tc.age, before, tc.change))
		if decision.RequeueAfter != tc.wait || len(decision.Crashes) > 0 {
			t.Errorf("%s: requeued after %s with crashes %v, want %s and none",
				tc.what, decision.RequeueAfter, decision.Crashes, tc.wait)
		}
		var want []string
		if tc.wait == 0 {
			want = []string{"pod a-0 was created without the webhook"}
			recorded := decision.Record
			after := restart.Record{0: {Uninjected: tc.before + 1}}
			if diff := cmp.Diff(after, recorded); diff != "" || !decision.WriteRecord {
				t.Errorf("%s: record (-want +got):\n%s", tc.what, diff)
			}
		}
		var got []string
		for _, restart := range decision.Restarts {
			got = append(got, restart.Failure.Message)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: restarts (-want +got):\n%s", tc.what, diff)
		}
	}
}

// TestNextOfUninjectedFailedLeader checks that a leader that has failed as well is restarted once: nothing waits to be
// counted for its failure. The failure of a leader before it still does.
func TestNextOfUninjectedFailedLeader(t *testing.T) {
	for failed, want := range map[types.UID]restart.Cause{"leader": "", "earlier": restart.Evicted} {
		before := restart.Entry{FailedLeader: failed, Waiting: restart.Evicted, Reason: "a-0: Evicted"}
		decision := restart.Next(uninjected(10*time.Second, before, func(*restart.Input) {}))
		after := decision.Record[0]
		if len(decision.Restarts) != 1 || after.Waiting != want {
			t.Errorf("leader %s failed: %d restarts, and %q waits; want 1, and %q",
				failed, len(decision.Restarts), after.Waiting, want)
		}
	}
}

// TestNextForgetsUninjected checks that the delay starts over once the group is ready, and that the rest of the entry
// stays.
func TestNextForgetsUninjected(t *testing.T) {
	for _, policy := range []leaderworkersetv1.RestartPolicyType{
		leaderworkersetv1.NoneRestartPolicy, leaderworkersetv1.RecreateGroupOnPodRestart,
	} {
		in := uninjected(time.Hour, restart.Entry{Uninjected: 3}, func(in *restart.Input) {
			in.Set.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = policy
			in.Set.Groups[0].Uninjected = nil
		})
		if decision := restart.Next(in); !decision.WriteRecord || len(decision.Record) > 0 || len(decision.Restarts) > 0 {
			t.Errorf("%s: got %+v, want an empty record", policy, decision)
		}
	}
	in := uninjected(time.Hour, restart.Entry{Uninjected: 3, Restarts: 2}, func(in *restart.Input) {
		in.Set.Groups[0].Uninjected = nil
	})
	if got := restart.Next(in).Record; !maps.Equal(got, restart.Record{0: {Restarts: 2}}) {
		t.Errorf("got record %v, want that of the crashes", got)
	}
}

// TestLeadersKnowUninjectedPods follows since when a pod of a group is known as one that was created without the
// webhook, while the clock is set back.
func TestLeadersKnowUninjectedPods(t *testing.T) {
	known := restart.Leaders{}
	pass := func(after time.Duration, change func(*restart.Input)) time.Duration {
		in := uninjected(after, restart.Entry{}, change)
		expected := func(snapshot.Group) bool { return false }
		known = known.Next(in.Set, in.Replicas, &restart.Decision{}, in.Now, expected)
		if known[0].UninjectedAt.IsZero() {
			return -1
		}
		return known[0].UninjectedAt.Sub(createdAt)
	}
	unchanged := func(*restart.Input) {}
	for _, tc := range []struct {
		what        string
		after, want time.Duration
		change      func(*restart.Input)
	}{
		{"at first", time.Second, time.Second, unchanged},
		{"later", time.Minute, time.Second, unchanged},
		{"the clock is set back", -time.Hour, -time.Hour, unchanged},
		{"the group is injected", time.Minute, -1, func(in *restart.Input) { in.Set.Groups[0].Uninjected = nil }},
	} {
		if got := pass(tc.after, tc.change); got != tc.want {
			t.Errorf("%s: known since %s, want %s", tc.what, got, tc.want)
		}
	}
}
