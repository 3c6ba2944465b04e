// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// WaitsForRestart reports whether the leader is gated until its group may restart.
func WaitsForRestart(leader *corev1.Pod) bool {
	return slices.ContainsFunc(leader.Spec.SchedulingGates, IsRestartGate)
}

// IsRestartGate reports whether the scheduling gate is the one of groups that may have to wait for their restart.
func IsRestartGate(gate corev1.PodSchedulingGate) bool {
	return gate.Name == leaderworkersetv1.RestartSchedulingGate
}
