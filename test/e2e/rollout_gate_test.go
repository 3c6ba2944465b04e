// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
)

// TestLocalRolloutFeatureGate runs rollouts in a cluster whose StatefulSet controller deletes several pods at a time.
// That controller knows leaders, but no groups. The rollouts use the budget in full and never exceed it.
func TestLocalRolloutFeatureGate(t *testing.T) {
	inClusterWith(t, map[string]bool{"MaxUnavailableStatefulSet": true})
	t.Run("Rollout", TestRollout)
	t.Run("RolloutInterrupted", TestRolloutInterrupted)
	t.Run("RolloutBroken", TestRolloutBroken)
	t.Run("RolloutOneBroken", TestLocalRolloutOneBroken)
}

// inClusterWith runs the rest of the test in a cluster of its own, with these feature gates of Kubernetes. No other
// test may run at the same time.
func inClusterWith(t *testing.T, featureGates map[string]bool) {
	t.Helper()
	own, shared := environment{root: suite.root}, suite
	if err := own.start(t.Context(), featureGates); err != nil {
		t.Fatal(err)
	}
	suite = own
	t.Cleanup(func() {
		suite = shared
		if err := own.stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}
