// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gomodules.xyz/jsonpatch/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// patch changes an object, if the precondition holds.
func (a *Applier) patch(ctx context.Context, change *write.Patch, precondition write.Precondition) error {
	if precondition == write.SameUID && a.deleted.includes(change.From.GetUID()) {
		return nil
	}
	patch, err := patchOf(change, precondition)
	if err != nil {
		return err
	}
	err = a.Client.Patch(ctx, change.To, patch)
	switch {
	case apierrors.IsInvalid(err) && (precondition == write.SameSpec || precondition == write.SameUID):
		err = a.explainInvalid(ctx, change.From, precondition, err)
	case apierrors.IsNotFound(err):
		err = conflict(change.From, err)
	default:
		err = refused(VerbPatch, err)
	}
	if precondition == write.SameUID && apierrors.IsConflict(err) {
		return nil // Another object has its name by now, or none.
	}
	return err
}

// patchOf writes a change and its precondition as a patch.
func patchOf(change *write.Patch, precondition write.Precondition) (client.Patch, error) {
	switch precondition {
	case write.SameSpec:
		return patchIfSameSpec(change)
	case write.SameVersion:
		return client.MergeFromWithOptions(change.From, client.MergeFromWithOptimisticLock{}), nil
	case write.SameUID:
		from, err := copyOf(change.From)
		if err != nil {
			return nil, err
		}
		from.SetUID("") // Then the patch names the UID. The API server refuses to change that of another object.
		return client.MergeFrom(from), nil
	default:
		return client.MergeFrom(change.From), nil
	}
}

// patchIfSameSpec is a JSON patch that tests for the UID, the generation and the annotations before it changes
// anything.
func patchIfSameSpec(change *write.Patch) (client.Patch, error) {
	from, err := json.Marshal(change.From)
	if err != nil {
		return nil, err
	}
	to, err := json.Marshal(change.To)
	if err != nil {
		return nil, err
	}
	changes, err := jsonpatch.CreatePatch(from, to)
	if err != nil {
		return nil, err
	}
	operations := []jsonpatch.Operation{
		jsonpatch.NewOperation("test", "/metadata/uid", change.From.GetUID()),
		jsonpatch.NewOperation("test", "/metadata/generation", change.From.GetGeneration()),
		jsonpatch.NewOperation("test", "/metadata/annotations", change.From.GetAnnotations()), // null if there are none
	}
	data, err := json.Marshal(append(operations, changes...))
	return client.RawPatch(types.JSONPatchType, data), err
}

// explainInvalid distinguishes a patch whose precondition doesn't hold from one whose result is invalid, or denied as
// invalid. The API server answers both with 422 Unprocessable Entity, and documents nothing that distinguishes them. So
// explainInvalid compares the object itself.
func (a *Applier) explainInvalid(
	ctx context.Context, observed write.Object, precondition write.Precondition, invalid error,
) error {
	actual, err := a.live(ctx, observed)
	switch {
	case apierrors.IsNotFound(err):
		return conflict(observed, err)
	case err != nil:
		return errors.Join(invalid, err)
	case actual.UID != observed.GetUID(), precondition == write.SameSpec && !sameSpec(actual, observed):
		return conflict(observed, errors.New("it has changed since it was observed"))
	default:
		return refused(VerbPatch, invalid)
	}
}

// sameSpec reports whether two states of an object have the same generation and annotations.
func sameSpec(a, b metav1.Object) bool {
	return a.GetGeneration() == b.GetGeneration() && equality.Semantic.DeepEqual(a.GetAnnotations(), b.GetAnnotations())
}

// check fails with a conflict unless the object still is as it was observed, but for its status.
func (a *Applier) check(ctx context.Context, observed write.Object) error {
	unchanged, err := copyOf(observed)
	if err != nil {
		return err
	}
	return a.patch(ctx, &write.Patch{From: observed, To: unchanged}, write.SameSpec)
}

// checkOwner fails with a conflict if the owner of an object is deleted, or about to be. Kubernetes' own controllers
// look in the same way before they adopt.
func (a *Applier) checkOwner(ctx context.Context, object write.Object, owner *metav1.OwnerReference) error {
	if owner == nil {
		return nil
	}
	exists, terminating, err := a.owner(ctx, object, owner)
	if err == nil && (!exists || terminating) {
		return conflict(object, fmt.Errorf("its owner %s %s is being deleted, or was", owner.Kind, owner.Name))
	}
	return err
}

// owner reads past the cache whether the owner of an object exists, and whether it is being deleted.
func (a *Applier) owner(
	ctx context.Context, object write.Object, owner *metav1.OwnerReference,
) (exists, terminating bool, err error) {
	actual := &metav1.PartialObjectMetadata{}
	actual.SetGroupVersionKind(schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind))
	err = a.Live.Get(ctx, client.ObjectKey{Namespace: object.GetNamespace(), Name: owner.Name}, actual)
	switch {
	case apierrors.IsNotFound(err):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("owner of %s: %w", object.GetName(), err)
	}
	exists = actual.UID == owner.UID
	return exists, exists && actual.DeletionTimestamp != nil, nil
}

func copyOf(object write.Object) (write.Object, error) {
	copied, ok := object.DeepCopyObject().(write.Object)
	if !ok {
		return nil, fmt.Errorf("the copy of %T is no object", object)
	}
	return copied, nil
}

func conflict(object write.Object, err error) error {
	return apierrors.NewConflict(schema.GroupResource{}, object.GetName(), err)
}
