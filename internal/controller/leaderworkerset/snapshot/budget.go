// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"math"

	"k8s.io/apimachinery/pkg/util/intstr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Budget returns how many groups a rollout of the set may add, and how many it may make unavailable, for the present
// replicas. The set's defaults have to be filled in.
//
// Percentages are of replicas. maxSurge is rounded up and is never more than replicas; maxUnavailable is rounded down.
// 10% of 5 groups is a surge of 1 and an unavailability of 0. If both are 0, no group could ever be updated: then one
// group may be unavailable, as in a Deployment.
func Budget(lws *leaderworkersetv1.LeaderWorkerSet) (surge, unavailable int32) {
	config, replicas := lws.Spec.RolloutStrategy.RollingUpdateConfiguration, *lws.Spec.Replicas
	surge = min(resolve(config.MaxSurge, replicas, true), replicas)
	unavailable = resolve(config.MaxUnavailable, replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// resolve returns a number or percentage of replicas. A value that can't be read counts as 0: the CRD's schema refuses
// it.
func resolve(value *intstr.IntOrString, replicas int32, roundUp bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, int(replicas), roundUp)
	if err != nil {
		return 0
	}
	return int32(min(max(n, 0), math.MaxInt32))
}
