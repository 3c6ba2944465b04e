// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// maxUnavailableGate is the feature gate that lets the StatefulSet controller delete several pods at a time. It is on
// by default from Kubernetes 1.37 on.
const maxUnavailableGate = "MaxUnavailableStatefulSet"

// TestLocalRolloutFeatureGate runs rollouts in a cluster whose StatefulSet controller deletes several pods at a time,
// or in one where it doesn't, whichever the other tests lack. That controller knows leaders, but no groups. The
// rollouts use the budget in full and never exceed it.
func TestLocalRolloutFeatureGate(t *testing.T) {
	enabled, err := cluster.FeatureEnabled(t.Context(), suite.cluster.RESTConfig(), maxUnavailableGate)
	if err != nil {
		t.Fatal(err)
	}
	inClusterWith(t, settings{featureGates: map[string]bool{maxUnavailableGate: !enabled}})
	t.Run("Rollout", TestRollout)
	t.Run("RolloutInterrupted", TestRolloutInterrupted)
	t.Run("RolloutBroken", TestRolloutBroken)
	t.Run("RolloutOneBroken", TestLocalRolloutOneBroken)
}

// inClusterWith runs the rest of the test in a cluster of its own, with these settings. No other test may run at the
// same time.
func inClusterWith(t *testing.T, with settings) {
	t.Helper()
	own, shared := environment{root: suite.root}, suite
	if err := own.start(t.Context(), with); err != nil {
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
