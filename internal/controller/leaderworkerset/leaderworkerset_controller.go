// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// All that the operator may do. It writes by creating, patching and deleting, and owns objects by LeaderWorkerSets and leader pods: where the
// API server enforces permissions on owner references, as OpenShift's does, that takes updates of their finalizers, of which it has none.
//
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=get;list;watch
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets/status,verbs=patch
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=statefulsets;controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=persistentvolumeclaims,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=core,resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=core,resources=pods/finalizers,verbs=update
// +kubebuilder:rbac:groups=core,resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// setReconciler keeps the objects of a LeaderWorkerSet as a whole as they should be: its revision, shared Service, leader StatefulSet
// and status. A pass costs O(groups), and the events of a moment are one pass.
type setReconciler struct {
	observer *observer
	applier  *apply.Applier
	failures *failures
	lives    *lives
	options  Options
}

// Reconcile makes one pass over a LeaderWorkerSet. One whose view was late is made again a moment later: that happens, and is no error.
func (r *setReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.pass(ctx, request)
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("Looking again", "reason", err.Error())
		return ctrl.Result{RequeueAfter: r.options.StaleRetryDelay}, nil
	}
	return result, err
}

func (r *setReconciler) pass(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	observed, err := r.observer.set(ctx, request.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	if observed == nil {
		r.failures.forget(request.NamespacedName)
		r.lives.forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	if observed.LWS.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // Garbage collection takes its children; nothing new is made.
	}
	now := r.options.Clock.Now()
	planned, err := plan.ForSet(observed, metav1.NewTime(now))
	if err != nil {
		return ctrl.Result{}, err
	}
	written := r.applier.Writes(ctx, planned.Writes)
	r.applier.Tell(observed.LWS, planned.Steps)
	r.lives.setSeen(request.NamespacedName, planned.Seen)
	failure := failureOf(snapshot.WholeSet, written)
	switch {
	case planned.Records && written == nil:
		r.lives.setRecorded(request.NamespacedName, now)
	case planned.Records && failure == nil:
		return ctrl.Result{}, written // Nothing is told that had to be written down first: another attempt does both.
	}
	news := r.failures.note(request.NamespacedName, snapshot.WholeSet, failure)
	told, err := r.applier.Status(ctx, observed.LWS, planned.Status)
	if err != nil {
		return ctrl.Result{}, errors.Join(written, err)
	}
	if told {
		r.lives.setTold(request.NamespacedName, now)
	}
	r.applier.Tell(observed.LWS, planned.Events)
	switch {
	case written != nil:
		return ctrl.Result{}, written
	case news:
		// The set's obstacle has changed. The status shows that on the next pass.
		return ctrl.Result{RequeueAfter: r.options.Batch.delayOf(observed.LWS)}, nil
	default:
		return ctrl.Result{RequeueAfter: planned.After}, nil
	}
}

// failureOf is what the status tells of an error: nothing if trying again is all it takes.
func failureOf(group int32, err error) *snapshot.Failure {
	var refused *apply.RefusedError
	if !errors.As(err, &refused) {
		return nil
	}
	return &snapshot.Failure{Group: group, Reason: refused.Reason, Message: refused.Error()}
}
