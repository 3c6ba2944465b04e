// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// Everything that the operator may do. It writes by creating, patching and deleting. Its objects are owned by
// LeaderWorkerSets and leader pods. An API server that enforces permissions on owner references, as OpenShift's does,
// asks for updates of the owners' finalizers. The operator sets none.
//
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=get;list;watch
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets/status,verbs=patch
// +kubebuilder:rbac:groups=leaderworkerset.x-k8s.io,resources=leaderworkersets/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=statefulsets;controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=persistentvolumeclaims,verbs=list;watch;patch;delete
// +kubebuilder:rbac:groups=core,resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=core,resources=pods/finalizers,verbs=update
// +kubebuilder:rbac:groups=core,resources=nodes,verbs=list;watch
// +kubebuilder:rbac:groups=core,resources=events,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// setReconciler keeps the objects of a LeaderWorkerSet as a whole as they should be: its revision, shared Service,
// leader StatefulSet and status. A pass costs O(groups). Events within a batch delay start one pass.
type setReconciler struct {
	observer *observer
	applier  *apply.Applier
	memories *memories
	options  Options
}

// Reconcile makes one pass over a LeaderWorkerSet. A pass on a stale view is requeued. That is expected, and no error.
func (r *setReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.pass(ctx, request)
	return requeuedIfStale(ctx, r.options.StaleRetryDelay, result, err)
}

// requeuedIfStale returns the outcome of a pass; if it met a conflict, that of a pass that is made again after a delay.
func requeuedIfStale(
	ctx context.Context, delay time.Duration, result reconcile.Result, err error,
) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("Requeueing a pass on a stale view", "reason", err.Error())
		return ctrl.Result{RequeueAfter: delay}, nil
	}
	return result, err
}

func (r *setReconciler) pass(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	memory, now := r.memories.ofSet(request.NamespacedName), r.options.Clock.Now()
	looks := memory.Missing.Looks(now, r.options.Plan.Refusals)
	set, err := r.observer.set(ctx, request.NamespacedName, looks)
	if err != nil {
		return ctrl.Result{}, err
	}
	if set == nil {
		r.memories.forget(request.NamespacedName)
		r.options.Meter.Forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	if set.LWS.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // The garbage collector deletes its children; none is created.
	}
	set.AddObservations(memory.Observations)
	planned, err := plan.ForSet(set, &memory, now, &r.options.Plan)
	if err != nil {
		return ctrl.Result{}, err
	}
	outcome := r.apply(ctx, set, &planned, &memory, now)
	r.options.Meter.Count(request.NamespacedName, &planned.Counts)
	changed := r.memories.storeSet(request.NamespacedName, &outcome.memory, outcome.obstacle)
	switch {
	case outcome.err != nil:
		return ctrl.Result{}, outcome.err
	case changed: // The status of the next pass says that the obstacle is gone.
		return ctrl.Result{RequeueAfter: r.options.Batch.For(set.LWS)}, nil
	default:
		return ctrl.Result{RequeueAfter: planned.RequeueAfter}, nil
	}
}

// outcome is what came of a plan.
type outcome struct {
	memory   plan.Memory
	obstacle *status.Obstacle // nil if nothing was in the way
	err      error
}

// apply carries out a plan: its writes, then the status, then the events about it.
func (r *setReconciler) apply(
	ctx context.Context, set *snapshot.Set, planned *plan.Set, memory *plan.Memory, now time.Time,
) outcome {
	if len(planned.Writes) > 0 {
		log.FromContext(ctx).V(1).Info("Writing", "writes", len(planned.Writes), "reason", planned.Reason)
	}
	written := r.applier.Writes(ctx, planned.Writes)
	r.applier.Record(set.LWS, planned.WriteEvents)

	next := *memory
	next.Leaders, next.Record = planned.Leaders, planned.Record
	next.Missing, next.Holds, next.Measured = planned.Missing, planned.Holds, planned.Measured
	if written != nil {
		next.Missing = next.Missing.Unretried(&memory.Missing)
	}
	obstacle := obstacleOf(status.WholeSet, written)
	if planned.WritesRecord {
		if written != nil && obstacle == nil {
			// The status may not run ahead of the record. Another attempt writes both.
			return outcome{memory: next, obstacle: obstacleBefore(memory), err: written}
		}
		if written == nil {
			next.RecordedAt = now
		}
	}
	if equality.Semantic.DeepEqual(set.LWS.Status, planned.Status) {
		r.applier.Record(set.LWS, planned.StatusEvents)
		return outcome{memory: next, obstacle: obstacle, err: written}
	}
	updated := set.LWS.DeepCopy()
	updated.Status = planned.Status
	if err := r.applier.Status(ctx, set.LWS, updated); err != nil {
		return outcome{memory: next, obstacle: obstacle, err: errors.Join(written, err)}
	}
	next.StatusWrittenAt = now
	r.applier.Record(set.LWS, planned.StatusEvents)
	return outcome{memory: next, obstacle: obstacle, err: written}
}

// obstacleBefore returns what was in the way of the last pass over the set; nil for nothing.
func obstacleBefore(memory *plan.Memory) *status.Obstacle {
	for i := range memory.Obstacles {
		if memory.Obstacles[i].Group == status.WholeSet {
			return &memory.Obstacles[i]
		}
	}
	return nil
}

// obstacleOf returns what the status reports of an error: nothing if another attempt is all it takes.
func obstacleOf(group int32, err error) *status.Obstacle {
	refused, ok := errors.AsType[*apply.RefusedError](err)
	if !ok {
		return nil
	}
	obstacle := &status.Obstacle{
		Group: group, Reason: leaderworkersetv1.ReasonFailedUpdate, Message: refused.Error(),
		PodGroup: refused.Resource == scheduling.Resource,
	}
	if refused.Verb == apply.VerbCreate {
		obstacle.Reason = leaderworkersetv1.ReasonFailedCreate
	}
	if taken, ok := errors.AsType[*apply.TakenError](err); ok {
		obstacle.Message = snapshot.NameTaken(taken.Kind, taken.Name)
	}
	return obstacle
}
