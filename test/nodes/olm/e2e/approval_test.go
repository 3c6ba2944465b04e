// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// TestApproval checks that each version waits for its approval, if approval is manual.
func TestApproval(t *testing.T) {
	subscribe(t, published.prepared(), func(subscription *operatorsv1alpha1.Subscription) {
		subscription.Spec.InstallPlanApproval = operatorsv1alpha1.ApprovalManual
		subscription.Spec.StartingCSV = csv(published.previous())
	})
	for _, version := range []string{published.previous(), published.prepared()} {
		plan := untilPlanned(t, version)
		var early operatorsv1alpha1.ClusterServiceVersion
		err := suite.Client.Get(t.Context(), client.ObjectKey{Namespace: operator.Namespace, Name: csv(version)}, &early)
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s exists before it is approved: %v", csv(version), err)
		}
		approved := plan.DeepCopy()
		approved.Spec.Approved = true
		if err := suite.Client.Patch(t.Context(), approved, client.MergeFrom(plan)); err != nil {
			t.Fatal(err)
		}
		bed.Eventually(t, func(ctx context.Context) error { return completed(ctx, version) })
	}
}

// untilPlanned waits for an InstallPlan of a version that requires approval.
func untilPlanned(t *testing.T, version string) *operatorsv1alpha1.InstallPlan {
	t.Helper()
	var plan *operatorsv1alpha1.InstallPlan
	bed.Eventually(t, func(ctx context.Context) error {
		var plans operatorsv1alpha1.InstallPlanList
		if err := suite.Client.List(ctx, &plans, client.InNamespace(operator.Namespace)); err != nil {
			return err
		}
		i := slices.IndexFunc(plans.Items, func(plan operatorsv1alpha1.InstallPlan) bool {
			return slices.Contains(plan.Spec.ClusterServiceVersionNames, csv(version))
		})
		if i < 0 {
			return errors.New("there is no InstallPlan for " + version)
		}
		plan = &plans.Items[i]
		if plan.Status.Phase != operatorsv1alpha1.InstallPlanPhaseRequiresApproval {
			return fmt.Errorf("the InstallPlan for %s is %q", version, plan.Status.Phase)
		}
		return nil
	})
	return plan
}
