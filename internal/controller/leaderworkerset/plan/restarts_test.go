// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// complete makes all groups known as complete, in the present incarnation of their leaders.
func complete(observed *world) {
	observed.memory.Incarnations = map[int32]restart.Incarnation{}
	for _, group := range observed.Groups {
		members := map[int32]restart.Member{0: {UID: group.Leader.UID}}
		observed.memory.Incarnations[group.Index] = restart.Incarnation{
			Leader: group.Leader.UID, Members: members, Fingerprint: restart.Fingerprint(group.Leader.UID, members),
		}
	}
}

// fail makes a group known as failed.
func fail(observed *world, index int32, why string, crashed bool) {
	incarnation := observed.memory.Incarnations[index]
	incarnation.Failure = restart.Failure{Cause: restart.PodDeleted, Message: why, Crashed: crashed}
	if crashed {
		incarnation.Failure.Cause = restart.ContainerRestart
	}
	observed.memory.Incarnations[index] = incarnation
}

// restartFailed replaces the leaders and workers of failed groups, as after their restart.
func restartFailed(observed *world) {
	settle(observed)
	for i := range observed.Groups {
		group := &observed.Groups[i]
		incarnation := observed.memory.Incarnations[group.Index]
		if incarnation.Leader == group.Leader.UID && incarnation.Failure != (restart.Failure{}) {
			group.Leader.UID += "'"
			group.Workers.OwnerReferences[0].UID = group.Leader.UID
		}
	}
	complete(observed)
}

// wantRestarts checks the events of a pass about restarted groups.
func wantRestarts(t *testing.T, what string, planned plan.Set, want ...string) {
	t.Helper()
	var got []string
	for _, event := range planned.WriteEvents {
		if event.Reason == leaderworkersetv1.ReasonRecreateGroup {
			got = append(got, event.Note)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: events (-want +got):\n%s", what, diff)
	}
}

// TestFailedGroupsAreRestarted checks that several failures give one write of the record, then the deletions, and one
// event.
func TestFailedGroupsAreRestarted(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	fail(observed, 0, "pod llama-0-1 was deleted", false)
	fail(observed, 1, "pod llama-1-1 failed: Evicted", true)

	planned := forSet(t, observed)
	want := []string{
		"patch *v1.StatefulSet llama",
		"delete *v1.Pod llama-0", "delete *v1.Pod llama-1",
	}
	if diff := cmp.Diff(want, described(planned.Writes)); diff != "" {
		t.Errorf("writes: %s", diff)
	}
	wantRestarts(t, "the failures", planned, "Recreating groups 0-1: pod llama-1-1 failed: Evicted, and others")

	carryOut(observed, planned)
	if again := forSet(t, observed); len(again.Writes) != 0 {
		t.Errorf("the groups are restarted twice: %v", described(again.Writes))
	}
}

// TestEventsOfCrashes checks that the event is a warning if the workload of a group crashed, and quotes that crash.
func TestEventsOfCrashes(t *testing.T) {
	deleted := restart.Failure{Cause: restart.PodDeleted, Message: "pod llama-0-1 was deleted"}
	killed := restart.Failure{
		Cause: restart.ContainerRestart, Message: "llama-1-1: container main OOMKilled, exit code 137", Crashed: true,
	}
	evicted := restart.Failure{Cause: restart.Evicted, Message: "llama-1-1: Evicted", Crashed: true}
	for _, tc := range []struct {
		what     string
		failures []restart.Failure // of groups from 0 on
		want     write.Event
	}{
		{"a deletion", []restart.Failure{deleted}, write.Event{
			Type: corev1.EventTypeNormal, Note: "Recreating group 0: pod llama-0-1 was deleted",
		}},
		{"a deletion and a crash", []restart.Failure{deleted, killed}, write.Event{
			Type: corev1.EventTypeWarning,
			Note: "Recreating groups 0-1: llama-1-1: container main OOMKilled, exit code 137, and others",
		}},
		{"a deletion and an eviction", []restart.Failure{deleted, evicted}, write.Event{
			Type: corev1.EventTypeNormal, Note: "Recreating groups 0-1: pod llama-0-1 was deleted, and others",
		}},
	} {
		observed := settled(t, newSet())
		complete(observed)
		carryOut(observed, forSet(t, observed))
		for index, failure := range tc.failures {
			incarnation := observed.memory.Incarnations[int32(index)]
			incarnation.Failure = failure
			observed.memory.Incarnations[int32(index)] = incarnation
		}
		tc.want.Reason, tc.want.Action = leaderworkersetv1.ReasonRecreateGroup, "Recreate"
		if diff := cmp.Diff([]write.Event{tc.want}, forSet(t, observed).WriteEvents); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
}

// TestLeadersAreUngatedAfterTheRecord replaces a leader that failed by one that waits. The record counts the restart
// before the gate is removed.
func TestLeadersAreUngatedAfterTheRecord(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	leader := observed.Groups[1].Leader
	failure := restart.Failure{Cause: restart.PodFailed, Message: "llama-1: the pod failed", Crashed: true}
	observed.memory.FailedLeaders = map[int32]restart.FailedLeader{1: {UID: leader.UID, Failure: failure}}
	leader.UID += "'"
	leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{
		{Name: "example.com/quota"}, {Name: leaderworkersetv1.RestartSchedulingGate},
	}
	planned := forSet(t, observed)
	if diff := cmp.Diff([]string{"patch *v1.StatefulSet llama", "patch *v1.Pod llama-1"},
		described(planned.Writes)); diff != "" {
		t.Fatalf("writes (-want +got):\n%s", diff)
	}
	ungated, isPod := planned.Writes[1].Patch.To.(*corev1.Pod)
	if !isPod || len(ungated.Spec.SchedulingGates) != 1 || ungated.Spec.SchedulingGates[0].Name != "example.com/quota" {
		t.Errorf("got %+v, want the other gate alone", planned.Writes[1].Patch.To)
	}
	wantRestarts(t, "the failure", planned, "Recreating group 1: llama-1: the pod failed")
}

// TestLeadersDeletedByOthers deletes leaders, which the StatefulSet controller replaces. The event is recorded once,
// whichever states the passes observe.
func TestLeadersDeletedByOthers(t *testing.T) {
	incarnations := 0 // of all leaders
	terminating := func(index int32) func(*world) {
		return func(observed *world) { observed.Groups[index].Leader.DeletionTimestamp = &now }
	}
	deleted := func(indices ...int32) func(*world) {
		return func(observed *world) {
			observed.Groups = slices.DeleteFunc(observed.Groups, func(g snapshot.Group) bool {
				return slices.Contains(indices, g.Index)
			})
		}
	}
	replaced := func(indices ...int32) func(*world) {
		return func(observed *world) {
			deleted(indices...)(observed)
			settle(observed)
			for _, index := range indices {
				leader := observed.Groups[index].Leader
				incarnations++
				leader.UID += types.UID(fmt.Sprint(incarnations))
			}
			complete(observed)
		}
	}
	failed := func(observed *world) { fail(observed, 0, "pod llama-0-1 was deleted", false) }
	crashed := func(observed *world) { fail(observed, 0, "a container restarted in pod llama-0", true) }
	nothing := func(*world) {}
	const one = "Recreating group 0: leader pod llama-0 was deleted"
	for _, tc := range []struct {
		what  string
		steps []func(*world) // before each of the passes
		want  []string       // the event of each pass; empty for none
	}{
		{"nothing happens", []func(*world){nothing}, []string{""}},
		{
			"observed at every step",
			[]func(*world){terminating(0), nothing, deleted(0), nothing, replaced(0), nothing},
			[]string{"", "", "", "", one, ""},
		},
		{"observed when it is replaced", []func(*world){replaced(0), nothing}, []string{one, ""}},
		{"twice", []func(*world){deleted(0), replaced(0), deleted(0), replaced(0)}, []string{"", one, "", one}},
		{
			"several at once",
			[]func(*world){deleted(0, 1), replaced(0, 1), nothing},
			[]string{"", "Recreating groups 0-1: leader pod llama-0 was deleted, and others", ""},
		},
		{
			"beside a group that failed",
			[]func(*world){deleted(1), func(observed *world) { replaced(1)(observed); failed(observed) }, nothing},
			[]string{"", "Recreating groups 0-1: pod llama-0-1 was deleted, and others", ""},
		},
		{
			"of a group that failed before, with a late cache",
			[]func(*world){failed, nothing, terminating(0), deleted(0), replaced(0)},
			[]string{"Recreating group 0: pod llama-0-1 was deleted", "", "", "", ""},
		},
		{
			"of a group that crashed before, with a late cache",
			[]func(*world){crashed, nothing, terminating(0), deleted(0), replaced(0)},
			[]string{"Recreating group 0: a container restarted in pod llama-0", "", "", "", ""},
		},
		{
			"by scaling down",
			[]func(*world){func(observed *world) { observed.LWS.Spec.Replicas = ptr.To[int32](1) }, terminating(1), deleted(1)},
			[]string{"", "", ""},
		},
		{
			"by scaling down and up again",
			[]func(*world){
				func(observed *world) { observed.LWS.Spec.Replicas = ptr.To[int32](1) },
				func(observed *world) { terminating(1)(observed); observed.LWS.Spec.Replicas = ptr.To[int32](2) },
				deleted(1), replaced(1),
			},
			[]string{"", "", "", ""},
		},
		{
			"by the StatefulSet controller, for the rollout",
			[]func(*world){func(observed *world) { setImage(observed.LWS, "serve:2") }, terminating(1), deleted(1), replaced(1)},
			[]string{"", "", "", ""},
		},
		{
			"during a rollout that hasn't released the group",
			[]func(*world){func(observed *world) { setImage(observed.LWS, "serve:2") }, terminating(0), replaced(0)},
			[]string{"", "", one},
		},
		{
			"with the leader StatefulSet",
			[]func(*world){
				func(observed *world) { observed.Leaders, observed.Groups = nil, nil },
				func(observed *world) { observed.Leaders.UID = "another" },
				replaced(0, 1),
			},
			[]string{"", "", ""},
		},
	} {
		t.Run(tc.what, func(t *testing.T) {
			observed := settled(t, newSet())
			complete(observed)
			apply := func(what string, want ...string) {
				t.Helper()
				planned := forSet(t, observed)
				wantRestarts(t, what, planned, want...)
				groups := slices.Clone(observed.Groups)
				carryOut(observed, planned)
				observed.Groups = groups // The cache may be late.
			}
			apply("before")
			for i, step := range tc.steps {
				step(observed)
				if what := fmt.Sprintf("step %d", i+1); tc.want[i] == "" {
					apply(what)
				} else {
					apply(what, tc.want[i])
				}
			}
		})
	}
}

// TestFailureOfAnEarlierIncarnation checks that the failure of an earlier leader doesn't restart the present one.
func TestFailureOfAnEarlierIncarnation(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	fail(observed, 0, "pod llama-0-1 was deleted", false)
	observed.Groups[0].Leader.UID = types.UID("another")
	if planned := forSet(t, observed); slices.ContainsFunc(planned.Writes,
		func(w write.Write) bool { return w.Delete != nil }) {
		t.Errorf("got %v", described(planned.Writes))
	}
}

// TestDelayOfCrashes crashes a group right after each restart. The next restart waits 10 s, 20 s, 40 s, and so on.
// After 10 minutes without a crash, the delays start over.
func TestDelayOfCrashes(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	clock := time.Duration(0)
	for crash, seconds := range []int{0, 10, 20, 40, 80, 160, 300, 300} {
		wait := time.Duration(seconds) * time.Second
		fail(observed, 1, "a container restarted in pod llama-1", true)
		if wait > 0 {
			early := at(t, observed, clock+wait-time.Second)
			if len(early.Writes) != 0 || early.RequeueAfter != time.Second {
				t.Fatalf("crash %d: a second too early got %v, and another pass after %s",
					crash, described(early.Writes), early.RequeueAfter)
			}
			unready := early.Status.UnreadyGroups
			if len(unready) != 1 || unready[0].Reason != leaderworkersetv1.UnreadyCrashed ||
				int(unready[0].Restarts) != crash {
				t.Errorf("crash %d: status says %+v", crash, unready)
			}
		}
		clock += wait
		planned := at(t, observed, clock)
		if !slices.Contains(described(planned.Writes), "delete *v1.Pod llama-1") {
			t.Fatalf("crash %d: after %s got %v", crash, wait, described(planned.Writes))
		}
		carryOut(observed, planned)
		restartFailed(observed)
		carryOut(observed, at(t, observed, clock))
	}
	fail(observed, 1, "a container restarted in pod llama-1", true)
	planned := at(t, observed, clock+10*time.Minute)
	if !slices.Contains(described(planned.Writes), "delete *v1.Pod llama-1") {
		t.Errorf("after 10 minutes got %v", described(planned.Writes))
	}
}

// TestDeletionsDontWait deletes pods again and again. That isn't a crash: the group is restarted at once each time.
func TestDeletionsDontWait(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	for round := range 5 {
		fail(observed, 0, "pod llama-0-1 was deleted", false)
		planned := forSet(t, observed)
		if !slices.Contains(described(planned.Writes), "delete *v1.Pod llama-0") {
			t.Fatalf("round %d: got %v", round, described(planned.Writes))
		}
		carryOut(observed, planned)
		restartFailed(observed)
		carryOut(observed, forSet(t, observed))
	}
}

// TestMaxGroupRestarts crashes a group that has no restarts left. Its pods stay, and the condition names the group. It
// goes on once the leader is deleted or asks to recover, or the limit is raised.
func TestMaxGroupRestarts(t *testing.T) {
	const crash = "llama-1-1: container main OOMKilled, exit code 137"
	for _, tc := range []struct {
		what   string
		resume func(*world)
	}{
		{"the leader is deleted", func(observed *world) { restartFailed(observed) }},
		{"the limit is raised", func(observed *world) {
			observed.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](5)
		}},
		{"the leader asks to recover", func(observed *world) {
			observed.Groups[1].Leader.Annotations[leaderworkersetv1.RecoverAnnotationKey] = "true"
		}},
		{"the limit is removed", func(observed *world) { observed.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = nil }},
	} {
		t.Run(tc.what, func(t *testing.T) {
			lws := newSet()
			lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
			observed := settled(t, lws)
			complete(observed)
			carryOut(observed, forSet(t, observed))
			fail(observed, 1, crash, true)
			carryOut(observed, forSet(t, observed))

			stays := at(t, observed, time.Hour)
			const message = "Group 1: no restarts left after 0; last error: " + crash + ". To try again, " +
				"delete pod llama-1, annotate it with leaderworkerset.sigs.k8s.io/recover=true, or raise maxGroupRestarts"
			degraded := meta.FindStatusCondition(stays.Status.Conditions, leaderworkersetv1.ConditionDegraded)
			if len(stays.Writes) != 0 || degraded == nil || degraded.Message != message ||
				degraded.Reason != leaderworkersetv1.ReasonReplicaRestartBudgetExceeded {
				t.Errorf("got %v, condition %+v", described(stays.Writes), degraded)
			}
			// The operator restarts and has only the record.
			fail(observed, 1, "a pod was replaced meanwhile", false)
			if restarted := at(t, observed, time.Hour); len(restarted.Writes) != 0 {
				t.Errorf("after a restart of the operator got %v", described(restarted.Writes))
			}
			fail(observed, 1, crash, true)

			tc.resume(observed)
			resumed := at(t, observed, 2*time.Hour)
			degraded = meta.FindStatusCondition(resumed.Status.Conditions, leaderworkersetv1.ConditionDegraded)
			if degraded != nil {
				t.Errorf("after the group was resumed: %+v", degraded)
			}
		})
	}
}

// TestRolloutStopsAtACrash crashes an updated group. The rollout stops, though the kubelet has made the pods ready
// again.
func TestRolloutStopsAtACrash(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		lws := newSet()
		lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
		observed := settled(t, lws)
		setImage(lws, "serve:2")
		carryOut(observed, forSet(t, observed)) // The new revision, its release, and the deletion of group 1.
		settle(observed)
		complete(observed)
		if crashed {
			fail(observed, 1, "a container restarted in pod llama-1-1", true)
		}
		carryOut(observed, forSet(t, observed)) // The next release, and the deletion of group 0.
		settle(observed)
		if updated := observed.Groups[0].Revision() == observed.Groups[1].Revision(); updated == crashed {
			t.Errorf("group 1 crashed: %t; group 0 is updated: %t", crashed, updated)
		}
	}
}

// TestRecordInterval checks that the record is written once all groups are complete. Before, it is written every two
// seconds at most, or less often in a large set.
func TestRecordInterval(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	incomplete := observed.memory.Incarnations[1]
	incomplete.Fingerprint = ""
	observed.memory.Incarnations[1] = incomplete
	observed.memory.RecordedAt = now.Time

	early := at(t, observed, 500*time.Millisecond)
	if early.WritesRecord || early.RequeueAfter != 1500*time.Millisecond {
		t.Errorf("after half a second: writes %v, another pass after %s", described(early.Writes), early.RequeueAfter)
	}
	if due := at(t, observed, 2*time.Second); !due.WritesRecord {
		t.Error("after two seconds, the record isn't written")
	}
	observed.LWS.Spec.Replicas = ptr.To[int32](500)
	early = at(t, observed, 2*time.Second)
	if early.WritesRecord || early.RequeueAfter != 3*time.Second {
		t.Errorf("500 groups, after two seconds: writes %v, another pass after %s",
			described(early.Writes), early.RequeueAfter)
	}
	observed.LWS.Spec.Replicas = ptr.To[int32](2)
	complete(observed)
	if planned := at(t, observed, 500*time.Millisecond); !planned.WritesRecord {
		t.Error("all groups are complete, and the record isn't written")
	}
}

// TestNoRecordWithoutRestarts checks that the restart policy None empties the record. When the policy changes later,
// pods that have changed meanwhile must not count.
func TestNoRecordWithoutRestarts(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	if record := observed.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]; record == "" {
		t.Fatal("there is no record")
	}
	observed.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
	observed.memory.Incarnations = nil
	carryOut(observed, forSet(t, observed))
	if record := observed.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]; record != "" {
		t.Errorf("the record is %s, want none", record)
	}
}

// TestAvailableWaitsForTheRecord checks that the status isn't available before the record is written. From then on
// every failure counts, also while the operator isn't running.
func TestAvailableWaitsForTheRecord(t *testing.T) {
	observed := settled(t, newSet())
	available := func(planned plan.Set) bool {
		return meta.IsStatusConditionTrue(planned.Status.Conditions, leaderworkersetv1.ConditionAvailable)
	}
	if available(forSet(t, observed)) {
		t.Error("available before a pass over the groups")
	}
	complete(observed)
	planned := forSet(t, observed)
	if !available(planned) || !planned.WritesRecord {
		t.Errorf("with all groups complete: available: %t, record: %t, want both",
			available(planned), planned.WritesRecord)
	}
	carryOut(observed, planned)
	observed.LWS.Status.Conditions = nil
	observed.memory.Incarnations = nil
	if !available(forSet(t, observed)) {
		t.Error("not available after a restart of the operator, with all groups in the record")
	}
	observed.Groups[0].Leader.UID = "another"
	if available(forSet(t, observed)) {
		t.Error("available with a group whose record is of another incarnation")
	}
}
