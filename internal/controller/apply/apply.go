// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package apply is the only writer: it carries out what was planned, and tells of it. Every write is safe against a view that was
// late: creations carry their owner, changes the version or the spec, and deletions the UID that they were decided on.
package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Applier carries out plans.
type Applier struct {
	// Client writes.
	Client client.Client

	// Live reads past the cache. Asked only after a creation that failed because the name is taken, and before an object gets a
	// LeaderWorkerSet as its owner.
	Live client.Reader

	// Recorder tells users what happened.
	Recorder events.EventRecorder

	// Deletions is how many deletions may be under way at the same time. Below 2 they are made one after the other, by the caller's own
	// goroutine.
	Deletions int

	deleted deletions
}

// RefusedError is a write that the API server refused for a reason that the user has to know: trying again won't help on its own.
type RefusedError struct {
	// Reason is that of the event: FailedCreate or FailedUpdate.
	Reason string

	err error
}

// Error is what the API server said.
func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap is the error of the API server.
func (e *RefusedError) Unwrap() error { return e.err }

// Writes carries the writes out in order, up to the first error. Only deletions of one kind that follow each other are made at the same
// time: taking down 50 groups of a set is 50 leaders. What turns out to be done already is no error. An error that the user has to know of
// is, or wraps, a *RefusedError.
func (a *Applier) Writes(ctx context.Context, writes []plan.Write) error {
	for len(writes) > 0 {
		n := a.together(writes)
		if err := a.writeTogether(ctx, writes[:n]); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return nil
}

// together is how many of the first writes are made at the same time. What has to be in order is of different kinds.
func (a *Applier) together(writes []plan.Write) int {
	n := 1
	for n < min(len(writes), a.Deletions) && writes[n].Delete != nil && reflect.TypeOf(writes[n].Delete) == reflect.TypeOf(writes[0].Delete) {
		n++
	}
	return n
}

// writeTogether makes all of the writes, whether others fail or not. The error is that of the first one that failed, in their order.
func (a *Applier) writeTogether(ctx context.Context, writes []plan.Write) error {
	if len(writes) == 1 {
		return a.write(ctx, writes[0])
	}
	failed := make([]error, len(writes))
	var underWay sync.WaitGroup
	for i, write := range writes {
		underWay.Go(func() { failed[i] = a.write(ctx, write) })
	}
	underWay.Wait()
	return cmp.Or(failed...)
}

func (a *Applier) write(ctx context.Context, write plan.Write) error {
	switch {
	case write.Create != nil:
		return a.create(ctx, write.Create)
	case write.Patch != nil:
		return a.patch(ctx, write.Patch)
	case write.Relabel != nil:
		return a.relabelUnseen(ctx, write.Relabel)
	default:
		return a.delete(ctx, write.Delete)
	}
}

// create makes an object. The children of a set are only made for one that is still there: by a cache that doesn't know of its deletion, its
// groups would be started once more, and their volume claims could outlive the garbage collection that follows.
func (a *Applier) create(ctx context.Context, object plan.Object) error {
	if owner := metav1.GetControllerOf(object); owner != nil && owner.Kind == "LeaderWorkerSet" {
		if err := a.checkOwner(ctx, object, *owner); err != nil {
			return err
		}
	}
	err := a.Client.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		err = a.checkTaken(ctx, object)
	}
	return refused(leaderworkersetv1.ReasonFailedCreate, err)
}

// checkTaken looks at who has the name that a creation needed. If it is the owner of the wished object, an earlier creation of ours
// has succeeded and the cache has yet to show it, or never will: without its labels, the object isn't selected.
func (a *Applier) checkTaken(ctx context.Context, wanted plan.Object) error {
	gvk, err := apiutil.GVKForObject(wanted, a.Client.Scheme())
	if err != nil {
		return err
	}
	taken := &metav1.PartialObjectMetadata{}
	taken.SetGroupVersionKind(gvk)
	if err := a.Live.Get(ctx, client.ObjectKeyFromObject(wanted), taken); err != nil {
		return err
	}
	if owner := metav1.GetControllerOf(wanted); owner != nil {
		if actual := metav1.GetControllerOf(taken); actual != nil && actual.UID == owner.UID {
			return a.relabel(ctx, taken, wanted.GetLabels())
		}
	}
	return &RefusedError{
		Reason: leaderworkersetv1.ReasonFailedCreate,
		err:    errors.New(snapshot.InTheWay(gvk.Kind, wanted.GetName())),
	}
}

// relabelUnseen relabels an object of which no more is known than its name and UID.
func (a *Applier) relabelUnseen(ctx context.Context, object plan.Object) error {
	if a.deleted.includes(object) {
		return nil
	}
	gvk, err := apiutil.GVKForObject(object, a.Client.Scheme())
	if err != nil {
		return err
	}
	unseen := &metav1.PartialObjectMetadata{
		ObjectMeta: metav1.ObjectMeta{Name: object.GetName(), Namespace: object.GetNamespace(), UID: object.GetUID()},
	}
	unseen.SetGroupVersionKind(gvk)
	return a.relabel(ctx, unseen, object.GetLabels())
}

// relabel gives an object, if it still has the UID, those of the wanted labels that are the operator's own: by them, the cache selects and
// finds objects. A revision that it is labeled with stays: it may be of another one than is wanted now.
//
// Pods aren't relabeled: a pod that loses its labels is let go by its StatefulSet, too, which is how users take a pod aside.
func (a *Applier) relabel(ctx context.Context, object *metav1.PartialObjectMetadata, wanted map[string]string) error {
	relabeled := object.DeepCopy()
	for key, value := range wanted {
		_, labeled := object.Labels[key]
		if strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) && (!labeled || key != leaderworkersetv1.RevisionLabelKey) {
			metav1.SetMetaDataLabel(&relabeled.ObjectMeta, key, value)
		}
	}
	if maps.Equal(object.Labels, relabeled.Labels) {
		return nil
	}
	object.UID = "" // A change of the UID is a precondition, no change.
	err := a.Client.Patch(ctx, relabeled, client.MergeFrom(object))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // It is gone, or something else has its name by now.
	}
	return refused(leaderworkersetv1.ReasonFailedUpdate, err)
}

func (a *Applier) delete(ctx context.Context, object plan.Object) error {
	if a.deleted.includes(object) {
		return nil
	}
	err := a.Client.Delete(ctx, object,
		client.Preconditions{UID: ptr.To(object.GetUID())},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	switch {
	case err == nil || apierrors.IsNotFound(err):
		a.deleted.add(object)
		return nil
	case apierrors.IsConflict(err):
		return nil // Something else has its name by now.
	}
	return refused(leaderworkersetv1.ReasonFailedUpdate, err)
}

// Status writes the status if it is a new one, and says so. The write fails with a conflict if the set has changed since it was observed.
func (a *Applier) Status(
	ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet, next leaderworkersetv1.LeaderWorkerSetStatus,
) (written bool, err error) {
	if equality.Semantic.DeepEqual(lws.Status, next) {
		return false, nil
	}
	updated := lws.DeepCopy()
	updated.Status = next
	if err := a.Client.Status().Patch(ctx, updated, client.MergeFromWithOptions(lws, client.MergeFromWithOptimisticLock{})); err != nil {
		return false, fmt.Errorf("status: %w", err)
	}
	return true, nil
}

// Tell records events about a set.
func (a *Applier) Tell(lws runtime.Object, told []status.Event) {
	for _, event := range told {
		a.Recorder.Eventf(lws, nil, event.Type, event.Reason, event.Action, "%s", event.Note)
	}
}

// refused marks the errors that the user has to know of. Others pass by themselves: conflicts, overload, a server that is away, and a
// namespace that is being deleted with everything in it.
func refused(reason string, err error) error {
	var already *RefusedError
	switch {
	case err == nil || errors.As(err, &already):
		return err
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err),
		apierrors.IsInternalError(err), apierrors.IsRequestEntityTooLargeError(err):
		return &RefusedError{Reason: reason, err: err}
	default:
		return err
	}
}
