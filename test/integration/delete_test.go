// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestForegroundDeletionWithoutOperator deletes a set in the foreground while no operator answers. The API server calls
// no webhook for a set that is being deleted: the garbage collector can remove its finalizer, which ends the deletion.
// Updates of other sets are refused meanwhile.
func TestForegroundDeletionWithoutOperator(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	deleted, stays := create(t, namespace, "deleted", `{}`), create(t, namespace, "stays", `{}`)
	switchTo(t, namespace, webhooksDown)
	foreground := client.PropagationPolicy(metav1.DeletePropagationForeground)
	if err := suite.client.Delete(t.Context(), deleted, foreground); err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(deleted), deleted); err != nil ||
		deleted.GetDeletionTimestamp() == nil {
		t.Fatalf("the set isn't waiting for its dependents: %v", err)
	}
	withoutFinalizers := client.RawPatch(types.MergePatchType, []byte(`{"metadata": {"finalizers": null}}`))
	if err := suite.client.Patch(t.Context(), stays, withoutFinalizers); !apierrors.IsInternalError(err) {
		t.Errorf("the update of a set that isn't being deleted: got %v, want an error of the webhook", err)
	}
	if err := suite.client.Patch(t.Context(), deleted, withoutFinalizers); err != nil {
		t.Errorf("the end of the deletion: %v", err)
	}
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(deleted), deleted); !apierrors.IsNotFound(err) {
		t.Errorf("the set is still there: %v", err)
	}
}
