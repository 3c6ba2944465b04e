// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
)

// TestUninstall checks that sets and their pods stay after the operator is uninstalled, until the CRD is deleted.
func TestUninstall(t *testing.T) {
	subscribe(t, published.prepared())
	untilInstalled(t, published.prepared())
	lws := suite.NewSet(suite.NewNamespace(t), "kept", 2, 2)
	suite.Create(t, lws)
	suite.UntilAvailable(t, lws)
	before := suite.Pods(t, lws)

	if err := uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := suite.Client.Get(t.Context(), client.ObjectKeyFromObject(lws), lws)
	if err != nil || lws.DeletionTimestamp != nil {
		t.Errorf("the set was deleted: %v", err)
	}
	checkKept(t, lws, before)

	definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crd}}
	suite.Remove(t, definition)
	bed.Eventually(t, func(ctx context.Context) error {
		var pods corev1.PodList
		err := suite.Client.List(ctx, &pods, client.InNamespace(lws.Namespace))
		if err == nil && len(pods.Items) > 0 {
			return fmt.Errorf("%d pods still exist", len(pods.Items))
		}
		return err
	})
}
