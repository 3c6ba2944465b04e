// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"context"
	"time"

	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
	// gathering is how long rolling updates that begin and end are gathered before a pass looks at all of them.
	gathering = time.Second

	// pace is the least time between two writes: after each, OLM takes the condition for outdated until it has seen it.
	pace = 10 * time.Second
)

// upgradeableReconciler keeps the condition Upgradeable as it should be. At rest there is no pass.
//
// The package conditions of operator-framework/operator-lib isn't used: it writes, in all passes, whether something changed or not.
type upgradeableReconciler struct {
	sets    client.Reader // a cache
	direct  client.Client
	clock   clock.PassiveClock
	written time.Time // when the condition was last written by this process
}

// Reconcile makes one pass over all LeaderWorkerSets. An OperatorCondition that changed meanwhile, or was written a moment ago, is looked at
// again later; one that is gone went with the operator's ClusterServiceVersion.
func (r *upgradeableReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	now := r.clock.Now()
	if wait := r.written.Add(pace).Sub(now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	changes, err := r.pass(ctx, request.NamespacedName, now)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: gathering}, nil
	case apierrors.IsNotFound(err):
		log.FromContext(ctx).Info("OLM isn't told when to wait with an upgrade", "reason", err.Error())
		return ctrl.Result{}, nil
	case err != nil || changes.IsZero():
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: changes.Sub(now)}, nil
}

// pass writes the condition if it isn't what it should be, and returns when that changes by time alone; zero if it doesn't.
func (r *upgradeableReconciler) pass(ctx context.Context, key types.NamespacedName, now time.Time) (changes time.Time, err error) {
	sets := &leaderworkersetv1.LeaderWorkerSetList{}
	if err := r.sets.List(ctx, sets, client.UnsafeDisableDeepCopy); err != nil {
		return time.Time{}, err
	}
	condition := &operatorsv2.OperatorCondition{}
	if err := r.direct.Get(ctx, key, condition); err != nil {
		return time.Time{}, err
	}
	before := condition.DeepCopy()
	told := meta.FindStatusCondition(before.Spec.Conditions, operatorsv2.Upgradeable)
	next, changes := nextUpgradeable(rolloutsOf(sets.Items), told, now)
	if !meta.SetStatusCondition(&condition.Spec.Conditions, next) {
		return changes, nil
	}
	// The list is replaced as a whole: others may have conditions in it.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.direct.Patch(ctx, condition, patch); err != nil {
		return time.Time{}, err
	}
	r.written = now
	log.FromContext(ctx).Info("Told OLM whether to wait with an upgrade", "upgradeable", next.Status, "reason", next.Reason, "message", next.Message)
	return changes, nil
}

// rolloutBeginsOrEnds lets those events pass after which other LeaderWorkerSets are in a rolling update than before.
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

// enqueueSoon has the OperatorCondition looked at a moment after any event: those that come meanwhile are the same pass.
func enqueueSoon(condition types.NamespacedName) handler.TypedEventHandler[*leaderworkersetv1.LeaderWorkerSet, reconcile.Request] {
	return handler.TypedFuncs[*leaderworkersetv1.LeaderWorkerSet, reconcile.Request]{
		CreateFunc: soon[event.TypedCreateEvent[*leaderworkersetv1.LeaderWorkerSet]](condition),
		UpdateFunc: soon[event.TypedUpdateEvent[*leaderworkersetv1.LeaderWorkerSet]](condition),
		DeleteFunc: soon[event.TypedDeleteEvent[*leaderworkersetv1.LeaderWorkerSet]](condition),
	}
}

func soon[E any](condition types.NamespacedName) func(context.Context, E, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	return func(_ context.Context, _ E, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		queue.AddAfter(reconcile.Request{NamespacedName: condition}, gathering)
	}
}

// once has the OperatorCondition looked at when the operator begins to lead: rolling updates may have ended before, that it tells of.
func once(condition types.NamespacedName) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(reconcile.Request{NamespacedName: condition})
		return nil
	})
}
