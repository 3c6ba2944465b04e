// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// configuredAt is the annotation by which docs/install/olm.md lets OLM restart the operator.
const configuredAt = "configured-at"

// TestConfiguration configures an operator that a Subscription has installed, as docs/install/olm.md says: by a
// ConfigMap, and by an annotation in the Subscription. OLM restarts the operator for the annotation. The lease shows
// that the operator uses the value.
func TestConfiguration(t *testing.T) {
	subscribe(t, published.prepared())
	untilInstalled(t, published.prepared())
	bed.Eventually(t, func(ctx context.Context) error { return leaseLasts(ctx, 15) })

	suite.Create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: operator.Namespace, Name: "lws-operator-config"},
		Data: map[string]string{"config.yaml": "apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1\n" +
			"kind: OperatorConfiguration\n" +
			"leaderElection: {leaseDuration: 37s}\n"},
	})
	restart(t)
	bed.Eventually(t, func(ctx context.Context) error { return leaseLasts(ctx, 37) })
	untilInstalled(t, published.prepared())
	lws := suite.NewSet(suite.NewNamespace(t), "configured", 1, 2)
	suite.Create(t, lws)
	suite.UntilAvailable(t, lws)
}

// leaseLasts returns an error unless the lease of the operator's leader has a duration.
func leaseLasts(ctx context.Context, seconds int32) error {
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: operator.Namespace, Name: "lws-operator.leaderworkerset.x-k8s.io"}
	if err := suite.Client.Get(ctx, key, lease); err != nil {
		return err
	}
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	if got := ptr.Deref(lease.Spec.LeaseDurationSeconds, 0); got != seconds || holder == "" {
		return fmt.Errorf("the lease of %q lasts %d s; want %d s", holder, got, seconds)
	}
	return nil
}

// restart sets an annotation for the operator's pods in the Subscription. It waits until OLM has replaced all replicas.
func restart(t *testing.T) {
	t.Helper()
	subscription := &operatorsv1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Namespace: operator.Namespace, Name: packageName},
	}
	value := time.Now().Format(time.RFC3339)
	patch := fmt.Sprintf(`{"spec":{"config":{"annotations":{%q:%q}}}}`, configuredAt, value)
	err := suite.Client.Patch(t.Context(), subscription, client.RawPatch(types.MergePatchType, []byte(patch)))
	if err != nil {
		t.Fatal(err)
	}
	bed.Eventually(t, func(ctx context.Context) error {
		current, err := suite.OperatorDeployment(ctx)
		if err != nil {
			return err
		}
		if current.Spec.Template.Annotations[configuredAt] != value {
			return fmt.Errorf("OLM hasn't restarted the Deployment %s", current.Name)
		}
		return bed.RolledOut(current)
	})
}
