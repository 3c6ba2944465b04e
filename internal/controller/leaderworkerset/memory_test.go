// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

func TestMemoryOfObstacles(t *testing.T) {
	a, b := types.NamespacedName{Namespace: "default", Name: "a"}, types.NamespacedName{Namespace: "default", Name: "b"}
	quota, forbidden := status.Obstacle{Group: 1, Message: "quota"}, status.Obstacle{Group: 1, Message: "forbidden"}
	whole := status.Obstacle{Group: status.WholeSet, Message: "invalid"}
	memories := newMemories()
	for _, step := range []struct {
		name     string
		set      types.NamespacedName
		group    int32
		obstacle *status.Obstacle
		changed  bool
		ofA      []status.Obstacle
	}{
		{"nothing is in the way, as before", a, 1, nil, false, nil},
		{"a first obstacle", a, 1, &quota, true, []status.Obstacle{quota}},
		{"the same again", a, 1, &quota, false, []status.Obstacle{quota}},
		{"another one of the same group", a, 1, &forbidden, true, []status.Obstacle{forbidden}},
		{"one of the whole set comes first", a, status.WholeSet, &whole, true, []status.Obstacle{whole, forbidden}},
		{"another set's", b, 1, &quota, true, []status.Obstacle{whole, forbidden}},
		{"nothing is in the group's way any more", a, 1, nil, true, []status.Obstacle{whole}},
		{"and it stays so", a, 1, nil, false, []status.Obstacle{whole}},
		{"nothing is in the set's way any more", a, status.WholeSet, nil, true, nil},
	} {
		var changed bool
		if step.group == status.WholeSet {
			changed = memories.storeSet(step.set, &plan.Memory{}, step.obstacle)
		} else {
			changed = memories.storeGroup(step.set, step.group, groupOutcome{obstacle: step.obstacle}, time.Time{})
		}
		if changed != step.changed {
			t.Errorf("%s: changed is %t, want %t", step.name, changed, step.changed)
		}
		if diff := cmp.Diff(step.ofA, memories.ofSet(a).Obstacles); diff != "" {
			t.Errorf("%s: obstacles of a (-want +got):\n%s", step.name, diff)
		}
	}
	memories.forget(a)
	memories.forget(b)
	if got := len(memories.bySet); got != 0 {
		t.Errorf("%d sets are remembered, want none", got)
	}
}

func TestMemoryOfIncarnations(t *testing.T) {
	set := types.NamespacedName{Namespace: "default", Name: "a"}
	begun := restart.Incarnation{Leader: "1"}
	complete := restart.Incarnation{Leader: "1", Fingerprint: "1-1", Members: map[int32]restart.Member{0: {UID: "1"}}}
	memories := newMemories()
	for _, step := range []struct {
		name        string
		incarnation restart.Incarnation
		changed     bool
	}{
		{"none yet", restart.Incarnation{}, false},
		{"it begins", begun, false},
		{"it is complete", complete, true},
		{"as before", complete, false},
		{"it has failed", restart.Incarnation{Leader: "1", Failure: restart.Failure{Message: "pod a-3-1 was deleted"}}, true},
		{"it has ended", restart.Incarnation{}, true},
	} {
		if got := memories.storeGroup(set, 3, groupOutcome{incarnation: step.incarnation}, time.Time{}); got != step.changed {
			t.Errorf("%s: changed is %t, want %t", step.name, got, step.changed)
		}
		last, _, _ := memories.ofGroup(set, 3)
		if diff := cmp.Diff(step.incarnation, last.incarnation); diff != "" {
			t.Errorf("%s: incarnation (-want +got):\n%s", step.name, diff)
		}
	}
	if got := len(memories.bySet); got != 0 {
		t.Errorf("%d sets are remembered, want none: there is nothing to remember", got)
	}
}

func TestMemoryOfASet(t *testing.T) {
	set, now := types.NamespacedName{Namespace: "default", Name: "a"}, time.Unix(1_700_000_000, 0)
	observed := snapshot.Observation{
		Leader: "1", ReadyWorkers: 2, RefusedWorkers: "exceeded quota", Faults: []snapshot.Fault{{
			Reason: leaderworkersetv1.UnreadyUnschedulable, Pods: []string{"a-0-1"}, Text: "0/2 nodes are available",
		}},
	}
	want := plan.Memory{
		Incarnations:    map[int32]restart.Incarnation{0: {Leader: "1"}},
		Observations:    map[int32]snapshot.Observation{0: observed},
		FreedAt:         now.Add(time.Second),
		Missing:         refusal.Memory{StatefulSet: "leaders", Gaps: map[int32]refusal.Gap{1: {Since: now}}},
		Holds:           release.Holds{Surge: release.Hold{Key: "key", Times: 1, Until: now}},
		Leaders:         restart.Leaders{0: {UID: "1"}},
		FailedLeaders:   map[int32]restart.FailedLeader{0: {UID: "1"}},
		Record:          restart.ReadRecord(`{"0":{"life":"x"}}`, restart.StoredRecord{}),
		RecordedAt:      now,
		StatusWrittenAt: now.Add(time.Second),
	}
	memories := newMemories()
	memories.storeGroup(set, 0, groupOutcome{
		incarnation: restart.Incarnation{Leader: "1"}, observed: observed, pods: 2,
	}, now)
	memories.storeGroup(set, 1, groupOutcome{pods: 2}, now)
	memories.storeGroup(set, 1, groupOutcome{pods: 1}, now.Add(time.Second))
	memories.storeFailedLeader(set, 0, restart.FailedLeader{UID: "1"})
	stored := want
	// Passes over sets don't store what passes over groups observe.
	stored.Incarnations, stored.Observations, stored.FailedLeaders, stored.FreedAt = nil, nil, nil, time.Time{}
	memories.storeSet(set, &stored, nil)
	got := memories.ofSet(set)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	last, record, freedAt := memories.ofGroup(set, 0)
	if diff := cmp.Diff(want.Record, record); diff != "" {
		t.Errorf("record for a pass over a group (-want +got):\n%s", diff)
	}
	if last.pods != 2 || !freedAt.Equal(want.FreedAt) {
		t.Errorf("a pass over a group gets %d pods, and %s as the time of the last deletion", last.pods, freedAt)
	}

	got.Incarnations[0] = restart.Incarnation{Leader: "2"}
	if last, _, _ = memories.ofGroup(set, 0); last.incarnation.Leader != "1" {
		t.Error("a pass has changed what is remembered without storing it")
	}
	memories.forget(set)
	if diff := cmp.Diff(plan.Memory{Unknown: true}, memories.ofSet(set)); diff != "" {
		t.Errorf("memory of a deleted set (-want +got):\n%s", diff)
	}
}

// TestMemoryOfFailedLeaders checks that the memory says whether the group of a failed leader was complete.
func TestMemoryOfFailedLeaders(t *testing.T) {
	set := types.NamespacedName{Namespace: "default", Name: "a"}
	complete := restart.Incarnation{Leader: "1", Fingerprint: "1-1"}
	for _, tc := range []struct {
		what   string
		leader types.UID
		before restart.Incarnation
		after  restart.Incarnation // when the failure is reported once more
		want   bool
	}{
		{"a complete group", "1", complete, complete, true},
		{"a complete group, whose next incarnation has begun", "1", complete, restart.Incarnation{Leader: "2"}, true},
		{"a group that isn't complete", "1", restart.Incarnation{Leader: "1"}, restart.Incarnation{Leader: "1"}, false},
		{"another incarnation", "2", complete, complete, false},
		{"a group that isn't known", "1", restart.Incarnation{}, restart.Incarnation{}, false},
	} {
		memories := newMemories()
		for _, incarnation := range []restart.Incarnation{tc.before, tc.after} {
			memories.storeGroup(set, 3, groupOutcome{incarnation: incarnation}, time.Time{})
			memories.storeFailedLeader(set, 3, restart.FailedLeader{UID: tc.leader})
		}
		if got := memories.ofSet(set).FailedLeaders[3].Complete; got != tc.want {
			t.Errorf("%s: complete is %t, want %t", tc.what, got, tc.want)
		}
	}
}

// TestMemoriesInParallel is for the race detector: passes over a set and its groups run at the same time.
func TestMemoriesInParallel(t *testing.T) {
	set, memories := types.NamespacedName{Name: "a"}, newMemories()
	var passes sync.WaitGroup
	for index := range int32(20) {
		passes.Go(func() {
			memories.storeGroup(set, index, groupOutcome{
				incarnation: restart.Incarnation{Leader: "1"}, obstacle: &status.Obstacle{Group: index},
			}, time.Time{})
			memory := memories.ofSet(set)
			memories.storeSet(set, &memory, nil)
		})
	}
	passes.Wait()
	if got := len(memories.ofSet(set).Obstacles); got != 20 {
		t.Errorf("%d obstacles, want 20", got)
	}
}
