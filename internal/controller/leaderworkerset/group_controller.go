// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// blockedRetry is how long a group waits when something outside of the operator's reach is wrong that nothing watches, such as a node
// without the label that placement asks for.
const blockedRetry = 15 * time.Second

// groupReconciler keeps the objects of one group as they should be: its worker StatefulSet and its own Service. A pass costs O(size),
// and groups are worked on in parallel.
type groupReconciler struct {
	observer *observer
	applier  *apply.Applier
	failures *failures
	lives    *lives

	// sets is where sets go that have news of a group to act on.
	sets chan<- event.TypedGenericEvent[*leaderworkersetv1.LeaderWorkerSet]
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
	r.tell(ctx, set, members, life, failure)
	if planned.Verdict.Action == group.BlockedOutOfSight && written == nil {
		return ctrl.Result{RequeueAfter: blockedRetry}, nil
	}
	return ctrl.Result{}, written
}

// tell has the set looked at if there is news of the group's life, or of what stands in its way.
func (r *groupReconciler) tell(
	ctx context.Context, set types.NamespacedName, members *snapshot.GroupMembers, life snapshot.Life, failure *snapshot.Failure,
) {
	lived := r.lives.put(set, members.Index, life)
	if members.LWS == nil {
		return
	}
	if failed := r.failures.note(set, members.Index, failure); !lived && !failed {
		return
	}
	select {
	case r.sets <- event.TypedGenericEvent[*leaderworkersetv1.LeaderWorkerSet]{Object: members.LWS}:
	case <-ctx.Done():
	}
}
