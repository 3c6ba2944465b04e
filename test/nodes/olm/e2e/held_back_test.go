// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// permit is the label of nodes that accept the new pods of the rollout.
const permit = "lws-operator-test/permit"

// TestUpgradeWaitsForRollout checks that a new version in the catalog waits while a set is in a rollout. OLM installs
// the version after the rollout. The API server refuses no pod at any time.
func TestUpgradeWaitsForRollout(t *testing.T) {
	s := subscribe(t, published.prepared())
	untilInstalled(t, published.prepared())
	namespace := suite.NewNamespace(t)
	lws := suite.NewSet(namespace, "rolling", 2, 2)
	suite.Create(t, lws)
	suite.UntilAvailable(t, lws)

	roll(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		bed.PodSpec(lws).NodeSelector = map[string]string{permit: namespace}
	})
	s.move(t, successor)
	line := observe(t, namespace)
	prober := startProbing(t, namespace, probeInterval)
	bed.Eventually(t, func(ctx context.Context) error { return heldBack(ctx, successor) })
	permitPods(t, namespace)
	line.note(time.Now(), "rollout", "can go on")
	bed.Eventually(t, func(ctx context.Context) error { return updated(ctx, lws) })
	line.note(time.Now(), "rollout", "is over")
	untilInstalled(t, successor)
	line.note(time.Now(), "upgrade", "is over")

	probes := prober.stop()
	line.report(t, probes)
	line.checkAdmitted(t, probes)
	checkNoRestarts(t, suite.Pods(t, lws))
	line.checkBudgets(t)
}

// heldBack returns an error unless a version exists, and waits until the operator allows the upgrade.
func heldBack(ctx context.Context, version string) error {
	var current operatorsv1alpha1.ClusterServiceVersion
	key := client.ObjectKey{Namespace: operator.Namespace, Name: csv(version)}
	if err := suite.Client.Get(ctx, key, &current); err != nil {
		return err
	}
	if current.Status.Phase != operatorsv1alpha1.CSVPhasePending ||
		current.Status.Reason != operatorsv1alpha1.CSVReasonOperatorConditionNotUpgradeable {
		return fmt.Errorf("%s is %q because of %q", current.Name, current.Status.Phase, current.Status.Reason)
	}
	return nil
}

// permitPods labels all nodes, so that they accept the waiting pods. The end of the test removes the label.
func permitPods(t *testing.T, value string) {
	t.Helper()
	label := func(ctx context.Context, patch string) error {
		var nodes corev1.NodeList
		if err := suite.Client.List(ctx, &nodes); err != nil {
			return err
		}
		var errs []error
		for node := range slices.Values(nodes.Items) {
			errs = append(errs, suite.Client.Patch(ctx, &node, client.RawPatch(types.MergePatchType, []byte(patch))))
		}
		return errors.Join(errs...)
	}
	if err := label(t.Context(), fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, permit, value)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := label(ctx, fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, permit)); err != nil {
			t.Error(err)
		}
	})
}
