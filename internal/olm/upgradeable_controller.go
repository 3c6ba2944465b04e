// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"context"
	"time"

	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

const (
	// batchDelay is the time between the first event and the pass that covers all events since. It is also the delay after
	// a conflict.
	batchDelay = time.Second

	// minWriteInterval is the least time between two writes. After each write, OLM treats the condition as outdated until
	// OLM has observed it.
	minWriteInterval = 10 * time.Second
)

// upgradeableReconciler maintains the condition Upgradeable. While no rolling update begins or ends, it makes no pass.
//
// The package conditions of operator-framework/operator-lib isn't used, because it writes in each pass, even without a
// change.
type upgradeableReconciler struct {
	sets      client.Reader // a cache
	direct    client.Client // without a cache
	clock     clock.PassiveClock
	writtenAt time.Time // when this process last wrote the condition

	// held takes whether the condition holds upgrades back, and for which reason it could; nil if nobody counts.
	held func(reason string, held bool)
}

// Reconcile makes one pass over all LeaderWorkerSets. It requeues after a conflict, and if the last write is less than
// minWriteInterval ago. A missing OperatorCondition was deleted with the operator's ClusterServiceVersion.
func (r *upgradeableReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	now := r.clock.Now()
	if wait := r.writtenAt.Add(minWriteInterval).Sub(now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	changesAt, err := r.pass(ctx, request.NamespacedName, now)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: batchDelay}, nil
	case apierrors.IsNotFound(err):
		log.FromContext(ctx).Info("OLM can't learn when to delay an upgrade", "reason", err.Error())
		return ctrl.Result{}, nil
	case err != nil || changesAt.IsZero():
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: changesAt.Sub(now)}, nil
}

// pass writes the condition if it changed. It returns when the condition changes without any event, or zero if it
// doesn't.
func (r *upgradeableReconciler) pass(
	ctx context.Context, key types.NamespacedName, now time.Time,
) (changesAt time.Time, err error) {
	sets := &leaderworkersetv1.LeaderWorkerSetList{}
	if err := r.sets.List(ctx, sets, client.UnsafeDisableDeepCopy); err != nil {
		return time.Time{}, err
	}
	condition := &operatorsv2.OperatorCondition{}
	if err := r.direct.Get(ctx, key, condition); err != nil {
		return time.Time{}, err
	}
	before := condition.DeepCopy()
	previous := meta.FindStatusCondition(before.Spec.Conditions, operatorsv2.Upgradeable)
	next, changesAt := nextUpgradeable(rolloutsOf(sets.Items), previous, now)
	if r.held != nil {
		r.held(reasonRollingUpdates, next.Status == metav1.ConditionFalse)
	}
	if !meta.SetStatusCondition(&condition.Spec.Conditions, next) {
		return changesAt, nil
	}
	// A merge patch replaces the whole list. The lock keeps conditions that others write meanwhile.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.direct.Patch(ctx, condition, patch); err != nil {
		return time.Time{}, err
	}
	r.writtenAt = now
	log.FromContext(ctx).Info("Wrote the condition Upgradeable for OLM",
		"status", next.Status, "reason", next.Reason, "message", next.Message)
	return changesAt, nil
}

// rolloutBeginsOrEnds accepts the events that begin or end a rolling update.
func rolloutBeginsOrEnds() predicate.TypedPredicate[*leaderworkersetv1.LeaderWorkerSet] {
	rolling := func(lws *leaderworkersetv1.LeaderWorkerSet) bool {
		_, ok := inProgress(lws)
		return ok
	}
	return predicate.TypedFuncs[*leaderworkersetv1.LeaderWorkerSet]{
		CreateFunc: func(e event.TypedCreateEvent[*leaderworkersetv1.LeaderWorkerSet]) bool { return rolling(e.Object) },
		DeleteFunc: func(e event.TypedDeleteEvent[*leaderworkersetv1.LeaderWorkerSet]) bool { return rolling(e.Object) },
		UpdateFunc: func(e event.TypedUpdateEvent[*leaderworkersetv1.LeaderWorkerSet]) bool {
			return rolling(e.ObjectOld) != rolling(e.ObjectNew)
		},
	}
}

// enqueueBatched returns a handler that starts a pass batchDelay after an event. Events in between share that pass.
func enqueueBatched(
	condition types.NamespacedName,
) handler.TypedEventHandler[*leaderworkersetv1.LeaderWorkerSet, reconcile.Request] {
	return handler.TypedFuncs[*leaderworkersetv1.LeaderWorkerSet, reconcile.Request]{
		CreateFunc: addAfterDelay[event.TypedCreateEvent[*leaderworkersetv1.LeaderWorkerSet]](condition),
		UpdateFunc: addAfterDelay[event.TypedUpdateEvent[*leaderworkersetv1.LeaderWorkerSet]](condition),
		DeleteFunc: addAfterDelay[event.TypedDeleteEvent[*leaderworkersetv1.LeaderWorkerSet]](condition),
	}
}

func addAfterDelay[E any](
	condition types.NamespacedName,
) func(context.Context, E, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	return func(_ context.Context, _ E, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		queue.AddAfter(reconcile.Request{NamespacedName: condition}, batchDelay)
	}
}

// enqueueOnce returns a source that starts a pass when the replica becomes the leader. Rolling updates that the
// condition reports may have ended before that.
func enqueueOnce(condition types.NamespacedName) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(reconcile.Request{NamespacedName: condition})
		return nil
	})
}
