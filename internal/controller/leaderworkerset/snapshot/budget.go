// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"math"

	"k8s.io/apimachinery/pkg/util/intstr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Budget is how many groups a rollout of the set may add, and how many it may take away, for the replicas the set has now. Its defaults
// have to be filled in.
//
// Percentages are of replicas: maxSurge is rounded up and never more than replicas, maxUnavailable rounded down. 10% of 5 groups is a
// surge of 1 and an unavailability of 0. With both at 0 nothing could ever be updated: then one group may be unavailable, as in a
// Deployment.
func Budget(lws *leaderworkersetv1.LeaderWorkerSet) (surge, unavailable int32) {
	config, replicas := lws.Spec.RolloutStrategy.RollingUpdateConfiguration, *lws.Spec.Replicas
	surge = min(resolve(config.MaxSurge, replicas, true), replicas)
	unavailable = resolve(config.MaxUnavailable, replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// resolve reads a number or percentage. What can't be read counts as 0: the CRD's schema doesn't let it in.
func resolve(value *intstr.IntOrString, replicas int32, roundUp bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, int(replicas), roundUp)
	if err != nil {
		return 0
	}
	return int32(min(max(n, 0), math.MaxInt32))
}
