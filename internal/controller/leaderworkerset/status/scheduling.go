// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// setScheduling sets the condition WorkloadSchedulingCreated of a set that has spec.scheduling. It has no events: what
// is in its way is a ReplicaFailure as well, which has one.
func setScheduling(in Input, conditions *[]metav1.Condition) {
	const kind = leaderworkersetv1.ConditionWorkloadSchedulingCreated
	if in.Set.LWS.Spec.Scheduling == nil {
		meta.RemoveStatusCondition(conditions, kind)
		return
	}
	latest := condition(kind, true, leaderworkersetv1.ReasonPodGroupsCreated, "",
		"Each group has the PodGroups that spec.scheduling asks for")
	lacking := slices.IndexFunc(in.Obstacles, func(obstacle Obstacle) bool { return obstacle.PodGroup })
	if problem := in.Set.Scheduling.Problem(in.Set.LWS); problem != nil {
		latest = condition(kind, false, "", problem.Reason, problem.Message)
	} else if lacking >= 0 {
		latest = condition(kind, false, "", leaderworkersetv1.ReasonPodGroupCreateFailed, in.Obstacles[lacking].Message)
	}
	in.at().Set(conditions, latest)
}
