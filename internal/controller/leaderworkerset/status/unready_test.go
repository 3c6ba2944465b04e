// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// TestReadyGroupWithAnObstacle checks that an obstacle that a ready group doesn't wait for is reported, and the group
// isn't listed as unready.
func TestReadyGroupWithAnObstacle(t *testing.T) {
	in := newInput(2, "nw")
	for group := range int32(2) {
		in.Obstacles = append(in.Obstacles, status.Obstacle{
			Group: group, Reason: leaderworkersetv1.ReasonFailedCreate, Message: "a Service is in the way",
		})
	}
	next, _ := status.Next(in)
	if len(next.UnreadyGroups) != 1 || next.UnreadyGroups[0].Index != 1 ||
		next.UnreadyGroups[0].Reason != leaderworkersetv1.UnreadyBlocked {
		t.Errorf("unready groups are %+v, want group 1, which is blocked", next.UnreadyGroups)
	}
	if !meta.IsStatusConditionTrue(next.Conditions, leaderworkersetv1.ConditionReplicaFailure) {
		t.Errorf("conditions are %+v, want ReplicaFailure among them", next.Conditions)
	}
}

// TestUnreadyCounts counts groups that aren't ready, by reason. Surge groups don't count. Groups that don't exist yet
// cost nothing.
func TestUnreadyCounts(t *testing.T) {
	type counts = map[leaderworkersetv1.UnreadyReason]int32
	for _, tc := range []struct {
		replicas int32
		groups   string
		want     counts
	}{
		{3, "nno", counts{}},
		{0, "", counts{}},
		{4, "nwtx", counts{leaderworkersetv1.UnreadyLeader: 2, leaderworkersetv1.UnreadyTerminating: 1}},
		{2, "nnw", counts{}},
		{1_000_000, "nw", counts{leaderworkersetv1.UnreadyLeader: 1, leaderworkersetv1.UnreadyMissing: 999_998}},
	} {
		if diff := cmp.Diff(tc.want, status.UnreadyCounts(newInput(tc.replicas, tc.groups))); diff != "" {
			t.Errorf("%d replicas, groups %q: counts (-want +got):\n%s", tc.replicas, tc.groups, diff)
		}
	}
	in := newInput(30, strings.Repeat("w", 30)) // More groups than the status lists.
	in.Crashes = map[int32]restart.Crash{3: {Exhausted: "it crashed"}, 5: {Waiting: "it crashed"}}
	want := counts{
		leaderworkersetv1.UnreadyLeader: 28, leaderworkersetv1.UnreadyDegraded: 1, leaderworkersetv1.UnreadyCrashed: 1,
	}
	if diff := cmp.Diff(want, status.UnreadyCounts(in)); diff != "" {
		t.Errorf("many groups: counts (-want +got):\n%s", diff)
	}
}
