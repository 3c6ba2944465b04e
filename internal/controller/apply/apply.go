// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package apply is the only writer: it sends what was planned, and records events about it. It knows no kind. Every
// write is right even if it was planned on a late view: creations check their owner, patches carry a precondition, and
// deletions the UID that was observed.
package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Applier sends writes to the API server.
type Applier struct {
	// Client writes.
	Client client.Client

	// Live reads past the cache. It is asked only before a write whose owner must live, and after one that the API server
	// refused because the name is taken or the result is invalid.
	Live client.Reader

	// Recorder records events.
	Recorder events.EventRecorder

	// Deletions is how many deletions of one write are under way at the same time. Below 2, they are made one after the
	// other.
	Deletions int

	// OnRefusal takes each write that ends in a [RefusedError]: the plural of the object's kind in lower case, the verb,
	// and the reason of the API server's answer or [ReasonNameTaken]. Nil if nobody counts.
	OnRefusal func(resource string, verb Verb, reason string)

	deleted deletions
}

// ReasonNameTaken is the reason of a refusal for a name that another object has.
const ReasonNameTaken = "NameTaken"

// Verb is what a request does, as in RBAC.
type Verb string

// The verbs of writes.
const (
	VerbCreate Verb = "create"
	VerbPatch  Verb = "patch"
	VerbDelete Verb = "delete"
)

// RefusedError is a write that the API server refused for a reason that users have to know: another attempt alone won't
// help.
type RefusedError struct {
	// Verb is what was refused, and Resource the plural of the object's kind in lower case.
	Verb     Verb
	Resource string

	err error
}

// Error is what the API server said.
func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap is the error of the API server, or a [TakenError].
func (e *RefusedError) Unwrap() error { return e.err }

// TakenError is a creation whose name is taken by an object that has another controller, or none.
type TakenError struct {
	Kind, Name string
}

// Error names the object.
func (e *TakenError) Error() string {
	return fmt.Sprintf("%s %q exists and belongs to somebody else", e.Kind, e.Name)
}

// Writes sends the writes in order, up to the first error. The refusal of an optional write doesn't end them. What
// turns out to be done already is no error. An error that users have to know is, or wraps, a *RefusedError. A
// precondition that doesn't hold is a conflict.
//
// An owner that must live is looked up once: a new set has three children, and their writes follow one another.
func (a *Applier) Writes(ctx context.Context, writes []write.Write) error {
	var refusal error
	var alive types.UID
	for i := range writes {
		planned, owner := writes[i], writes[i].OwnerMustLive
		if owner != nil && owner.UID == alive {
			planned.OwnerMustLive = nil
		}
		err := a.write(ctx, &planned)
		if owner != nil && err == nil {
			alive = owner.UID
		}
		refused, isRefusal := errors.AsType[*RefusedError](err)
		if isRefusal {
			refused.Resource = a.resourceOf(&writes[i])
			a.reportRefusal(refused)
		}
		if isRefusal && writes[i].Optional {
			refusal = cmp.Or(refusal, err)
		} else if err != nil {
			return err
		}
	}
	return refusal
}

func (a *Applier) write(ctx context.Context, planned *write.Write) error {
	if logger := log.FromContext(ctx).V(2); logger.Enabled() {
		verb, objects := describe(planned)
		logger.Info(verb, "objects", objects, "reason", planned.Reason)
	}
	switch {
	case planned.Create != nil:
		return a.create(ctx, planned)
	case planned.Patch != nil:
		if err := a.checkOwner(ctx, planned.Patch.To, planned.OwnerMustLive); err != nil {
			return err
		}
		return a.patch(ctx, planned.Patch, planned.If)
	case planned.Check != nil:
		return a.check(ctx, planned.Check)
	case planned.OwnerMustBeGone != nil:
		exists, _, err := a.owner(ctx, planned.Delete[0], planned.OwnerMustBeGone)
		if exists || err != nil {
			return err
		}
		return a.deleteAll(ctx, planned.Delete)
	default:
		return a.deleteAll(ctx, planned.Delete)
	}
}

// reportRefusal reports a refusal to those who count.
func (a *Applier) reportRefusal(refusal *RefusedError) {
	if a.OnRefusal == nil {
		return
	}
	reason := string(apierrors.ReasonForError(refusal))
	if _, taken := errors.AsType[*TakenError](refusal); taken {
		reason = ReasonNameTaken
	}
	a.OnRefusal(refusal.Resource, refusal.Verb, cmp.Or(reason, "Unknown"))
}

// resourceOf returns the plural of the kind of a write's objects in lower case; empty if the scheme lacks the kind.
func (a *Applier) resourceOf(planned *write.Write) string {
	var object write.Object
	switch {
	case planned.Create != nil:
		object = planned.Create
	case planned.Patch != nil:
		object = planned.Patch.To
	case planned.Check != nil:
		object = planned.Check
	default:
		object = planned.Delete[0]
	}
	kind, err := apiutil.GVKForObject(object, a.Client.Scheme())
	if err != nil {
		return ""
	}
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	return plural.Resource
}

// describe returns what a write does, and to which objects.
func describe(planned *write.Write) (verb string, objects []string) {
	var written []write.Object
	switch {
	case planned.Create != nil:
		verb, written = "Creating", []write.Object{planned.Create}
	case planned.Patch != nil:
		verb, written = "Patching", []write.Object{planned.Patch.To}
	case planned.Check != nil:
		verb, written = "Checking", []write.Object{planned.Check}
	default:
		verb, written = "Deleting", planned.Delete
	}
	for _, object := range written {
		objects = append(objects, fmt.Sprintf("%T %s", object, object.GetName()))
	}
	return verb, objects
}

// create creates an object, unless its owner was deleted. The applier asks about no owner that it has deleted itself.
func (a *Applier) create(ctx context.Context, planned *write.Write) error {
	if owner := metav1.GetControllerOf(planned.Create); owner != nil && a.deleted.includes(owner.UID) {
		return conflict(planned.Create, fmt.Errorf("its owner %s %s was deleted", owner.Kind, owner.Name))
	}
	if err := a.checkOwner(ctx, planned.Create, planned.OwnerMustLive); err != nil {
		return err
	}
	err := a.Client.Create(ctx, planned.Create)
	if apierrors.IsAlreadyExists(err) {
		return a.checkTaken(ctx, planned)
	}
	return refused(VerbCreate, err)
}

// checkTaken looks at the object that has the name. If it has the same controller, an earlier creation has succeeded.
// The cache has yet to show it, or never will: without its labels, the object isn't selected.
func (a *Applier) checkTaken(ctx context.Context, planned *write.Write) error {
	taken, err := a.live(ctx, planned.Create)
	if err != nil {
		return err
	}
	wanted, actual := metav1.GetControllerOf(planned.Create), metav1.GetControllerOf(taken)
	if wanted == nil || actual == nil || wanted.UID != actual.UID {
		return refused(VerbCreate, &TakenError{Kind: taken.Kind, Name: taken.Name})
	}
	relabeled := taken.DeepCopy()
	for key, value := range planned.CacheLabels {
		metav1.SetMetaDataLabel(&relabeled.ObjectMeta, key, value)
	}
	if !maps.Equal(taken.Labels, relabeled.Labels) {
		err = a.patch(ctx, &write.Patch{From: taken, To: relabeled}, write.SameUID)
	}
	if err == nil && planned.MustBeNew {
		return conflict(planned.Create, errors.New("it exists, and the cache doesn't show it yet"))
	}
	return err
}

// live reads the metadata of an object past the cache.
func (a *Applier) live(ctx context.Context, object write.Object) (*metav1.PartialObjectMetadata, error) {
	gvk, err := apiutil.GVKForObject(object, a.Client.Scheme())
	if err != nil {
		return nil, err
	}
	actual := &metav1.PartialObjectMetadata{}
	actual.SetGroupVersionKind(gvk)
	err = a.Live.Get(ctx, client.ObjectKeyFromObject(object), actual)
	return actual, err
}

// deleteAll deletes a number of objects at a time. It starts no more after an error; the error is that of the first
// object that couldn't be deleted, in their order.
func (a *Applier) deleteAll(ctx context.Context, objects []write.Object) error {
	starting, stop := context.WithCancel(ctx)
	defer stop()
	failed := make([]error, len(objects), len(objects)+1)
	deleteOne := func(i int) {
		if failed[i] = a.delete(ctx, objects[i]); failed[i] != nil {
			stop()
		}
	}
	if atATime := min(a.Deletions, len(objects)); atATime > 1 {
		workqueue.ParallelizeUntil(starting, atATime, len(objects), deleteOne)
	} else {
		for i := 0; i < len(objects) && starting.Err() == nil; i++ {
			deleteOne(i)
		}
	}
	return cmp.Or(append(failed, ctx.Err())...)
}

func (a *Applier) delete(ctx context.Context, object write.Object) error {
	if a.deleted.includes(object.GetUID()) {
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
		return nil // Another object has its name by now.
	}
	return refused(VerbDelete, err)
}

// Status writes the status of an object. The write fails with a conflict if the object has changed or was deleted since
// it was observed.
func (a *Applier) Status(ctx context.Context, observed, updated client.Object) error {
	patch := client.MergeFromWithOptions(observed, client.MergeFromWithOptimisticLock{})
	err := a.Client.Status().Patch(ctx, updated, patch)
	if apierrors.IsNotFound(err) {
		err = conflict(updated, err)
	}
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}

// Record records events about an object.
func (a *Applier) Record(object runtime.Object, recorded []write.Event) {
	for _, event := range recorded {
		a.Recorder.Eventf(object, nil, event.Type, event.Reason, event.Action, "%s", event.Note)
	}
}

// refused marks the errors that users have to know. Conflicts, overload and a server that is away pass by themselves.
// In a namespace that is being deleted, nothing has to be written any more: that is no error.
func refused(verb Verb, err error) error {
	var taken *TakenError
	switch {
	case err == nil, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case errors.As(err, &taken), apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err),
		apierrors.IsInternalError(err), apierrors.IsRequestEntityTooLargeError(err):
		return &RefusedError{Verb: verb, err: err}
	default:
		return err
	}
}
