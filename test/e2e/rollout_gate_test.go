// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
)

// TestLocalRolloutFeatureGate plays rollouts in a cluster whose StatefulSet controller takes down several pods at a time. It only sees
// leaders, and must not take down more groups than the budget allows, nor fewer.
func TestLocalRolloutFeatureGate(t *testing.T) {
	inClusterWith(t, map[string]bool{"MaxUnavailableStatefulSet": true})
	t.Run("Rollout", TestRollout)
	t.Run("RolloutInterrupted", TestRolloutInterrupted)
	t.Run("RolloutBroken", TestRolloutBroken)
	t.Run("RolloutOneBroken", TestLocalRolloutOneBroken)
}

// inClusterWith has the rest of the test run in a cluster of its own, with these feature gates of Kubernetes. No other test may run at the
// same time.
func inClusterWith(t *testing.T, featureGates map[string]bool) {
	t.Helper()
	ours, others := environment{root: suite.root}, suite
	if err := ours.start(t.Context(), featureGates); err != nil {
		t.Fatal(err)
	}
	suite = ours
	t.Cleanup(func() {
		suite = others
		if err := ours.stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}
