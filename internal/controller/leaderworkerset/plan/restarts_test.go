// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// alive has all groups known as complete, in the present life of their leaders.
func alive(observed *world) {
	observed.memory.Incarnations = map[int32]restart.Incarnation{}
	for _, group := range observed.Groups {
		members := map[int32]restart.Member{0: {UID: group.Leader.UID}}
		observed.memory.Incarnations[group.Index] = restart.Incarnation{
			Leader: group.Leader.UID, Members: members, Fingerprint: restart.Fingerprint(group.Leader.UID, members),
		}
	}
}

// fail has a group known as failed.
func fail(observed *world, index int32, why string, crashed bool) {
	life := observed.memory.Incarnations[index]
	life.Failure, life.Crashed = why, crashed
	observed.memory.Incarnations[index] = life
}

// reborn has the leader StatefulSet and the group's workers created again after the group was taken down.
func reborn(observed *world) {
	settle(observed)
	for i := range observed.Groups {
		if leader := observed.Groups[i].Leader; observed.memory.Incarnations[observed.Groups[i].Index].Leader == leader.UID && observed.memory.Incarnations[observed.Groups[i].Index].Failure != "" {
			leader.UID += "'"
			observed.Groups[i].Workers.OwnerReferences[0].UID = leader.UID
		}
	}
	alive(observed)
}

// wantRestarts checks what a pass tells of groups that are recreated.
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

// Several failures at once are one write of the record, then the deletions, leaders first, and one event.
func TestFailedGroupsAreRecreated(t *testing.T) {
	observed := settled(t, newSet())
	alive(observed)
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
	wantRestarts(t, "the failures", planned, "Recreating groups 0-1: pod llama-0-1 was deleted, and others")

	carryOut(observed, planned)
	if again := forSet(t, observed); len(again.Writes) != 0 {
		t.Errorf("the groups are recreated twice: %v", described(again.Writes))
	}
}

// A leader that somebody deletes, and that the StatefulSet controller replaces, is told once, whatever the passes get to see of it.
func TestLeadersDeletedByOthers(t *testing.T) {
	lives := 0 // of all leaders
	terminating := func(index int32) func(*world) {
		return func(observed *world) { observed.Groups[index].Leader.DeletionTimestamp = &now }
	}
	gone := func(indices ...int32) func(*world) {
		return func(observed *world) {
			observed.Groups = slices.DeleteFunc(observed.Groups, func(g snapshot.Group) bool { return slices.Contains(indices, g.Index) })
		}
	}
	replaced := func(indices ...int32) func(*world) {
		return func(observed *world) {
			gone(indices...)(observed)
			settle(observed)
			for _, index := range indices {
				leader := observed.Groups[index].Leader
				lives++
				leader.UID += types.UID(fmt.Sprint(lives))
			}
			alive(observed)
		}
	}
	failed := func(observed *world) { fail(observed, 0, "pod llama-0-1 was deleted", false) }
	crashed := func(observed *world) { fail(observed, 0, "a container restarted in pod llama-0", true) }
	nothing := func(*world) {}
	const one = "Recreating group 0: leader pod llama-0 was deleted"
	for _, tc := range []struct {
		what  string
		looks []func(*world) // what happens before each of the passes
		want  []string       // what each of them tells; empty for nothing
	}{
		{"nothing happens", []func(*world){nothing}, []string{""}},
		{"seen at every step", []func(*world){terminating(0), nothing, gone(0), nothing, replaced(0), nothing}, []string{"", "", "", "", one, ""}},
		{"seen when it is replaced", []func(*world){replaced(0), nothing}, []string{one, ""}},
		{"twice", []func(*world){gone(0), replaced(0), gone(0), replaced(0)}, []string{"", one, "", one}},
		{
			"several at once",
			[]func(*world){gone(0, 1), replaced(0, 1), nothing},
			[]string{"", "Recreating groups 0-1: leader pod llama-0 was deleted, and others", ""},
		},
		{
			"beside a group that failed",
			[]func(*world){gone(1), func(observed *world) { replaced(1)(observed); failed(observed) }, nothing},
			[]string{"", "Recreating groups 0-1: pod llama-0-1 was deleted, and others", ""},
		},
		{
			"of a group that failed before, which the cache shows late",
			[]func(*world){failed, nothing, terminating(0), gone(0), replaced(0)},
			[]string{"Recreating group 0: pod llama-0-1 was deleted", "", "", "", ""},
		},
		{
			"of a group that crashed before, which the cache shows late",
			[]func(*world){crashed, nothing, terminating(0), gone(0), replaced(0)},
			[]string{"Recreating group 0: a container restarted in pod llama-0", "", "", "", ""},
		},
		{
			"by scaling down",
			[]func(*world){func(observed *world) { observed.LWS.Spec.Replicas = ptr.To[int32](1) }, terminating(1), gone(1)},
			[]string{"", "", ""},
		},
		{
			"by scaling down and up again",
			[]func(*world){
				func(observed *world) { observed.LWS.Spec.Replicas = ptr.To[int32](1) },
				func(observed *world) { terminating(1)(observed); observed.LWS.Spec.Replicas = ptr.To[int32](2) },
				gone(1), replaced(1),
			},
			[]string{"", "", "", ""},
		},
		{
			"by the rollout, which the StatefulSet controller is quick to carry out",
			[]func(*world){func(observed *world) { setImage(observed.LWS, "serve:2") }, terminating(1), gone(1), replaced(1)},
			[]string{"", "", "", ""},
		},
		{
			"during a rollout that hasn't come to it",
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
			alive(observed)
			apply := func(what string, want ...string) {
				t.Helper()
				planned := forSet(t, observed)
				wantRestarts(t, what, planned, want...)
				groups := slices.Clone(observed.Groups)
				carryOut(observed, planned)
				observed.Groups = groups // The cache may be late.
			}
			apply("before it")
			for i, happens := range tc.looks {
				happens(observed)
				if what := fmt.Sprintf("look %d", i+1); tc.want[i] == "" {
					apply(what)
				} else {
					apply(what, tc.want[i])
				}
			}
		})
	}
}

// A failure that was noticed of an earlier leader means nothing for the one that is there now.
func TestFailureOfAnEarlierLife(t *testing.T) {
	observed := settled(t, newSet())
	alive(observed)
	carryOut(observed, forSet(t, observed))
	fail(observed, 0, "pod llama-0-1 was deleted", false)
	observed.Groups[0].Leader.UID = types.UID("another")
	if planned := forSet(t, observed); slices.ContainsFunc(planned.Writes, func(w write.Write) bool { return w.Delete != nil }) {
		t.Errorf("got %v", described(planned.Writes))
	}
}

// A group that crashes right after it was recreated waits 10 s, 20 s, 40 s, … and starts over once it held out for 10 minutes.
func TestDelayOfCrashes(t *testing.T) {
	observed := settled(t, newSet())
	alive(observed)
	carryOut(observed, forSet(t, observed))
	clock := time.Duration(0)
	for crash, seconds := range []int{0, 10, 20, 40, 80, 160, 300, 300} {
		wait := time.Duration(seconds) * time.Second
		fail(observed, 1, "a container restarted in pod llama-1", true)
		if wait > 0 {
			early := at(t, observed, clock+wait-time.Second)
			if len(early.Writes) != 0 || early.RequeueAfter != time.Second {
				t.Fatalf("crash %d: a second before its time got %v, and another look after %s", crash, described(early.Writes), early.RequeueAfter)
			}
			if unready := early.Status.UnreadyGroups; len(unready) != 1 || unready[0].Reason != leaderworkersetv1.UnreadyCrashed || int(unready[0].Restarts) != crash {
				t.Errorf("crash %d: status says %+v", crash, unready)
			}
		}
		clock += wait
		planned := at(t, observed, clock)
		if !slices.Contains(described(planned.Writes), "delete *v1.Pod llama-1") {
			t.Fatalf("crash %d: after %s got %v", crash, wait, described(planned.Writes))
		}
		carryOut(observed, planned)
		reborn(observed)
		carryOut(observed, at(t, observed, clock))
	}
	fail(observed, 1, "a container restarted in pod llama-1", true)
	if planned := at(t, observed, clock+10*time.Minute); !slices.Contains(described(planned.Writes), "delete *v1.Pod llama-1") {
		t.Errorf("after 10 minutes got %v", described(planned.Writes))
	}
}

// Pods that someone deletes are no crash: the group comes back at once, however often.
func TestDeletionsDontWait(t *testing.T) {
	observed := settled(t, newSet())
	alive(observed)
	carryOut(observed, forSet(t, observed))
	for round := range 5 {
		fail(observed, 0, "pod llama-0-1 was deleted", false)
		planned := forSet(t, observed)
		if !slices.Contains(described(planned.Writes), "delete *v1.Pod llama-0") {
			t.Fatalf("round %d: got %v", round, described(planned.Writes))
		}
		carryOut(observed, planned)
		reborn(observed)
		carryOut(observed, forSet(t, observed))
	}
}

// With maxGroupRestarts used up the pods stay, the condition names the group, and deleting the leader or raising the limit goes on.
func TestMaxGroupRestarts(t *testing.T) {
	const crash = "a container restarted in pod llama-1-1"
	for _, tc := range []struct {
		what   string
		resume func(*world)
	}{
		{"the leader is deleted", func(observed *world) { reborn(observed) }},
		{"the limit is raised", func(observed *world) {
			observed.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](5)
		}},
		{"the limit is lifted", func(observed *world) { observed.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = nil }},
	} {
		t.Run(tc.what, func(t *testing.T) {
			lws := newSet()
			lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
			observed := settled(t, lws)
			alive(observed)
			carryOut(observed, forSet(t, observed))
			fail(observed, 1, crash, true)
			carryOut(observed, forSet(t, observed))

			stays := at(t, observed, time.Hour)
			failed := meta.FindStatusCondition(stays.Status.Conditions, leaderworkersetv1.ConditionFailed)
			if len(stays.Writes) != 0 || failed == nil || !strings.Contains(failed.Message, crash) || !strings.HasPrefix(failed.Message, "Group 1:") {
				t.Errorf("got %v, condition %+v", described(stays.Writes), failed)
			}
			// The operator comes back and knows nothing but what it wrote down.
			fail(observed, 1, "a pod was replaced meanwhile", false)
			if restarted := at(t, observed, time.Hour); len(restarted.Writes) != 0 {
				t.Errorf("after a restart of the operator got %v", described(restarted.Writes))
			}
			fail(observed, 1, crash, true)

			tc.resume(observed)
			resumed := at(t, observed, 2*time.Hour)
			if failed := meta.FindStatusCondition(resumed.Status.Conditions, leaderworkersetv1.ConditionFailed); failed != nil {
				t.Errorf("after the group was resumed: %+v", failed)
			}
		})
	}
}

// A group that has crashed proves nothing about its revision, though the kubelet may have made its pods ready again.
func TestARolloutStopsAtAGroupThatCrashed(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		lws := newSet()
		lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
		observed := settled(t, lws)
		setImage(lws, "serve:2")
		for range 3 { // A new revision, its order, and the end of group 1.
			carryOut(observed, forSet(t, observed))
			settle(observed)
		}
		alive(observed)
		if crashed {
			fail(observed, 1, "a container restarted in pod llama-1-1", true)
		}
		for range 3 { // The next order, and the end of group 0.
			carryOut(observed, forSet(t, observed))
			settle(observed)
		}
		if updated := observed.Groups[0].Revision() == observed.Groups[1].Revision(); updated == crashed {
			t.Errorf("group 1 has crashed: %t; group 0 is updated: %t", crashed, updated)
		}
	}
}

// Lives are written down when all groups are complete, and else every two seconds at most, or less often in a large set.
func TestRecordIsWrittenNowAndThen(t *testing.T) {
	observed := settled(t, newSet())
	alive(observed)
	half := observed.memory.Incarnations[1]
	half.Fingerprint = ""
	observed.memory.Incarnations[1] = half
	observed.memory.RecordedAt = now.Time

	early := at(t, observed, 500*time.Millisecond)
	if early.WritesRecord || early.RequeueAfter != 1500*time.Millisecond {
		t.Errorf("half a second after the last time: writes %v, another look after %s", described(early.Writes), early.RequeueAfter)
	}
	if due := at(t, observed, 2*time.Second); !due.WritesRecord {
		t.Error("two seconds after the last time nothing is written down")
	}
	observed.LWS.Spec.Replicas = ptr.To[int32](500)
	if early := at(t, observed, 2*time.Second); early.WritesRecord || early.RequeueAfter != 3*time.Second {
		t.Errorf("of 500 groups, two seconds after the last time: writes %v, another look after %s", described(early.Writes), early.RequeueAfter)
	}
	observed.LWS.Spec.Replicas = ptr.To[int32](2)
	alive(observed)
	if complete := at(t, observed, 500*time.Millisecond); !complete.WritesRecord {
		t.Error("all groups are complete, and it isn't written down")
	}
}

// With the restart policy None nothing is remembered: pods that change meanwhile must not count when the policy changes later.
func TestNothingIsRememberedWithoutRestarts(t *testing.T) {
	observed := settled(t, newSet())
	alive(observed)
	carryOut(observed, forSet(t, observed))
	if record := observed.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]; record == "" {
		t.Fatal("nothing is remembered")
	}
	observed.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
	observed.memory.Incarnations = nil
	carryOut(observed, forSet(t, observed))
	if record := observed.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]; record != "" {
		t.Errorf("remembered: %s", record)
	}
}

// Users aren't told that all groups are ready before that is written down: from then on every failure counts, whoever is away.
func TestAvailableWaitsForTheRecord(t *testing.T) {
	observed := settled(t, newSet())
	available := func(planned plan.Set) bool {
		return meta.IsStatusConditionTrue(planned.Status.Conditions, leaderworkersetv1.ConditionAvailable)
	}
	if available(forSet(t, observed)) {
		t.Error("available before anyone looked at the groups")
	}
	alive(observed)
	planned := forSet(t, observed)
	if !available(planned) || !planned.WritesRecord {
		t.Errorf("with all groups complete: available: %t, written down: %t, want both", available(planned), planned.WritesRecord)
	}
	carryOut(observed, planned)
	observed.LWS.Status.Conditions = nil
	observed.memory.Incarnations = nil
	if !available(forSet(t, observed)) {
		t.Error("not available after a restart of the operator, with the groups that were written down")
	}
	observed.Groups[0].Leader.UID = "another"
	if available(forSet(t, observed)) {
		t.Error("available with a group of which another life was written down")
	}
}
