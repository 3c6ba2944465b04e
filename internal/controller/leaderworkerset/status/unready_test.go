// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
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
