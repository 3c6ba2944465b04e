// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// groupReconciler keeps the objects of one group as they should be: its worker StatefulSet and its own Service. A pass costs O(size),
// and groups are worked on in parallel.
type groupReconciler struct {
	observer *observer
	applier  *apply.Applier
	failures *failures
	lives    *lives

	// sets takes the sets that have to act on what a pass over a group found.
	sets *setQueue

	unwatchedRetryDelay time.Duration // as in Options
}

// Reconcile makes one pass over the group whose leader pod the request names.
func (r *groupReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	name, _, _ := identity.Parse(request.Name)
	set := at(request.NamespacedName, name)
	members, err := r.observer.group(ctx, request.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	life := group.Observe(r.observer.life(set, members), members)
	planned := plan.ForGroup(members)
	log.FromContext(ctx).V(1).Info("Decided", "action", planned.Verdict.Action, "reason", planned.Verdict.Reason)

	written := r.applier.Writes(ctx, planned.Writes)
	failure := planned.Failure
	if failure == nil {
		failure = failureOf(members.Index, written)
	}
	r.report(set, members, life, failure)
	if planned.Verdict.Action == group.BlockedOutOfSight && written == nil {
		return ctrl.Result{RequeueAfter: r.unwatchedRetryDelay}, nil
	}
	return ctrl.Result{}, written
}

// report remembers the group's incarnation and the obstacle that the pass met. It enqueues the set if either has changed.
func (r *groupReconciler) report(
	set types.NamespacedName, members *snapshot.GroupMembers, life snapshot.Life, failure *snapshot.Failure,
) {
	lifeChanged := r.lives.put(set, members.Index, life)
	if members.LWS == nil {
		return
	}
	if failureChanged := r.failures.note(set, members.Index, failure); lifeChanged || failureChanged {
		r.sets.Enqueue(members.LWS)
	}
}
