// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
)

func (a *Applier) patch(ctx context.Context, change *plan.Patch) error {
	if err := a.checkNewOwners(ctx, change); err != nil {
		return err
	}
	patch, err := patchOf(change)
	if err != nil {
		return err
	}
	err = a.Client.Patch(ctx, change.To, patch)
	if isFailedTest(patch, err) {
		return apierrors.NewConflict(appsv1.Resource("statefulsets"), change.From.GetName(), errors.New("it is no longer as it was observed"))
	}
	return refused(leaderworkersetv1.ReasonFailedUpdate, err)
}

// checkNewOwners fails if the change gives an object an owner that is going, or gone. The version of the object says nothing about that:
// a set that was deleted, and left its children behind, would get one back from an operator whose cache doesn't know yet, and the
// garbage collector would delete it. Kubernetes' own controllers look in the same way, right before they adopt.
func (a *Applier) checkNewOwners(ctx context.Context, change *plan.Patch) error {
	known := change.From.GetOwnerReferences()
	for _, owner := range change.To.GetOwnerReferences() {
		if slices.ContainsFunc(known, func(ref metav1.OwnerReference) bool { return ref.UID == owner.UID }) {
			continue
		}
		if err := a.checkOwner(ctx, change.To, owner); err != nil {
			return err
		}
	}
	return nil
}

// checkOwner fails with a conflict if the owner of an object is going, or gone: the cache is about to tell.
func (a *Applier) checkOwner(ctx context.Context, object plan.Object, owner metav1.OwnerReference) error {
	actual := &metav1.PartialObjectMetadata{}
	actual.SetGroupVersionKind(schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind))
	err := a.Live.Get(ctx, client.ObjectKey{Namespace: object.GetNamespace(), Name: owner.Name}, actual)
	if apierrors.IsNotFound(err) || (err == nil && (actual.UID != owner.UID || actual.DeletionTimestamp != nil)) {
		return apierrors.NewConflict(schema.GroupResource{}, object.GetName(), fmt.Errorf("its owner %s %s is being deleted, or was", owner.Kind, owner.Name))
	}
	if err != nil {
		return fmt.Errorf("owner of %s: %w", object.GetName(), err)
	}
	return nil
}

// patchOf holds for the version that was observed, but for what others may change meanwhile without a conflict: labels and annotations
// are merged with whatever they write, and a StatefulSet may get another status. Its controller writes one with every pod that comes, goes
// or becomes ready: during a rolling update, one change in three would be refused for nothing.
//
// The order of groups in a rolling update is an annotation that is decided on what was observed, and not merged.
func patchOf(change *plan.Patch) (client.Patch, error) {
	if sameButForMetadata(change) {
		return client.MergeFrom(change.From), nil
	}
	_, ok := change.From.(*appsv1.StatefulSet)
	if ok && equality.Semantic.DeepEqual(change.From.GetOwnerReferences(), change.To.GetOwnerReferences()) {
		return patchOfSpec(change)
	}
	return client.MergeFromWithOptions(change.From, client.MergeFromWithOptimisticLock{}), nil
}

func sameButForMetadata(change *plan.Patch) bool {
	from, ok := change.From.DeepCopyObject().(plan.Object)
	if !ok || equality.Semantic.DeepEqual(change.From, change.To) {
		return false // Nothing changes: the patch asks whether the version is still there.
	}
	from.SetLabels(change.To.GetLabels())
	from.SetAnnotations(change.To.GetAnnotations())
	sameOrder := change.From.GetAnnotations()[leaderworkersetv1.AheadAnnotationKey] == change.To.GetAnnotations()[leaderworkersetv1.AheadAnnotationKey]
	return sameOrder && equality.Semantic.DeepEqual(from, change.To)
}

// patchOfSpec holds for the object, the generation and the annotations that were observed. The generation counts the changes of a spec.
func patchOfSpec(change *plan.Patch) (client.Patch, error) {
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
		jsonpatch.NewOperation("test", "/metadata/annotations", change.From.GetAnnotations()), // null is for none
	}
	data, err := json.Marshal(append(operations, changes...))
	return client.RawPatch(types.JSONPatchType, data), err
}

// isFailedTest says whether the API server found another state than a patch tests for. It answers as if the object were invalid, without
// saying which one and why: an object that is, and a webhook that refuses it, are told in more words.
func isFailedTest(patch client.Patch, err error) bool {
	var status apierrors.APIStatus
	if patch.Type() != types.JSONPatchType || !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "" && len(details.Causes) == 0 && !strings.Contains(status.Status().Message, "admission webhook")
}
