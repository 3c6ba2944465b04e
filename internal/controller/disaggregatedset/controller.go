// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
)

// What the operator may do for DisaggregatedSets. Their children are LeaderWorkerSets and scalers. It deletes Services
// that other controllers have left behind.
//
// +kubebuilder:rbac:groups=disaggregatedset.x-k8s.io,resources=disaggregatedsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=disaggregatedset.x-k8s.io,resources=disaggregatedsets/status,verbs=patch
// +kubebuilder:rbac:groups=disaggregatedset.x-k8s.io,resources=disaggregatedsets/finalizers,verbs=update
// +kubebuilder:rbac:groups=disaggregatedset.x-k8s.io,resources=disaggregatedsetrolescalers,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=disaggregatedset.x-k8s.io,resources=disaggregatedsetrolescalers/status,verbs=patch
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=create;patch;delete
// +kubebuilder:rbac:groups=core,resources=services,verbs=list;delete

var setKind = disaggregatedsetv1.GroupVersion.WithKind(desired.Kind)

// setReconciler keeps the LeaderWorkerSets and scalers of a DisaggregatedSet as they should be, and its status.
type setReconciler struct {
	observer *observer
	applier  *apply.Applier
	memories *memories
	options  Options
}

// Reconcile makes one pass over a DisaggregatedSet. A pass on a stale view is requeued. That is expected, and no error.
func (r *setReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.pass(ctx, request.NamespacedName)
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("Requeueing a pass on a stale view", "reason", err.Error())
		return ctrl.Result{RequeueAfter: r.options.StaleRetryDelay}, nil
	}
	return result, err
}

func (r *setReconciler) pass(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
	dset, err := r.observer.get(ctx, key)
	if err != nil {
		return ctrl.Result{}, err
	}
	if dset == nil {
		r.memories.forget(key)
		r.options.Meter.Forget(key)
		return ctrl.Result{}, nil
	}
	if dset.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // The garbage collector deletes its children; none is created.
	}
	before := r.memories.of(key, dset)
	memory := before
	set, err := r.observer.set(ctx, dset, !memory.noServices)
	if err != nil {
		return ctrl.Result{}, err
	}
	planned, err := plan.ForSet(set, memory.plan(), r.options.Clock.Now())
	if err != nil {
		return ctrl.Result{}, err
	}
	written := r.write(ctx, dset, &planned)
	memory.obstacle = obstacleAfter(before.obstacle, written)
	memory.current = isCurrent(&before, &planned, written)
	memory.noServices = before.noServices || written == nil
	r.memories.store(key, memory)
	err = errors.Join(written, r.report(ctx, dset, &planned))
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case !ptr.Equal(before.obstacle, memory.obstacle): // The status of the next pass says that the obstacle is gone.
		return ctrl.Result{RequeueAfter: r.options.BatchDelay}, nil
	default:
		return ctrl.Result{RequeueAfter: planned.RequeueAfter}, nil
	}
}

// write makes the writes of a plan, and records the events about them.
func (r *setReconciler) write(
	ctx context.Context, dset *disaggregatedsetv1.DisaggregatedSet, planned *plan.Set,
) error {
	if len(planned.Writes) > 0 {
		log.FromContext(ctx).V(1).Info("Writing", "writes", len(planned.Writes), "reason", planned.Reason)
	}
	err := r.applier.Writes(ctx, planned.Writes)
	if err == nil {
		r.applier.Record(dset, planned.WriteEvents)
	}
	return err
}

// report writes the statuses that changed, and records the events about them.
func (r *setReconciler) report(
	ctx context.Context, dset *disaggregatedsetv1.DisaggregatedSet, planned *plan.Set,
) error {
	for _, scaler := range planned.Scalers {
		if err := r.applier.Status(ctx, scaler.Observed, scaler.Updated); err != nil {
			return err
		}
	}
	if !equality.Semantic.DeepEqual(dset.Status, planned.Status) {
		updated := dset.DeepCopy()
		updated.Status = planned.Status
		if err := r.applier.Status(ctx, dset, updated); err != nil {
			return err
		}
		if took, ended := status.RolledOut(dset.Status.Conditions, planned.Status.Conditions); ended {
			r.options.Meter.RolledOut(client.ObjectKeyFromObject(dset), took)
		}
	}
	r.applier.Record(dset, planned.StatusEvents)
	return nil
}

// isCurrent reports whether the cache shows after a pass all that the operator has written. Reads wait for what this
// process has written, see package controller. They can't wait for a write whose answer was lost. A pass that has made
// all its writes has checked what it couldn't know.
func isCurrent(before *remembered, planned *plan.Set, written error) bool {
	_, isRefused := errors.AsType[*apply.RefusedError](written)
	switch {
	case written == nil:
		return before.current || len(planned.Writes) > 0
	case isRefused, apierrors.IsConflict(written), apierrors.IsTooManyRequests(written):
		return before.current
	default:
		return false
	}
}

// obstacleAfter returns what the status reports after a pass that ended its writes with an error. A pass that another
// attempt repeats may not have reached the obstacle, which stays.
func obstacleAfter(before *status.Obstacle, err error) *status.Obstacle {
	refused, isRefused := errors.AsType[*apply.RefusedError](err)
	switch {
	case err == nil:
		return nil
	case !isRefused:
		return before
	}
	taken, isTaken := errors.AsType[*apply.TakenError](err)
	reason := disaggregatedsetv1.ReasonFailedUpdate
	switch {
	case isTaken && taken.Kind == desired.ScalerKind:
		reason = disaggregatedsetv1.ReasonScalerConflict
	case refused.Verb == apply.VerbCreate:
		reason = disaggregatedsetv1.ReasonFailedCreate
	}
	return &status.Obstacle{Reason: reason, Message: refused.Error()}
}
