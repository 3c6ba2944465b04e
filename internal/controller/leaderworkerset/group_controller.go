// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// groupReconciler keeps the objects of one group as they should be: its worker StatefulSet and its own Service. A pass
// costs O(size). Passes over different groups run in parallel.
type groupReconciler struct {
	observer *observer
	applier  *apply.Applier
	memories *memories

	// sets takes the sets that have to act on what a pass over a group found.
	sets *setQueue

	options Options
}

// Reconcile makes one pass over the group whose leader pod the request names. A pass on a stale view is requeued. That
// is expected, and no error.
func (r *groupReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.pass(ctx, request)
	return requeuedIfStale(ctx, r.options.StaleRetryDelay, result, err)
}

func (r *groupReconciler) pass(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	name, index, _ := identity.Parse(request.Name)
	set := at(request.NamespacedName, name)
	last, record, freedAt := r.memories.ofGroup(set, index)
	now, refusals := r.options.Clock.Now(), r.options.Plan.Refusals
	looks := last.missing.Looks(now, refusals)
	members, err := r.observer.group(ctx, request.NamespacedName, looks)
	if err != nil {
		return ctrl.Result{}, err
	}
	incarnation := restart.Observe(last.incarnation, recorded(members, last.incarnation.Leader, record), members)
	missing := group.MissingWorkers(members, refusal.Input{
		Memory: last.missing, Unknown: last.incarnation.Leader == "", FreedAt: freedAt, Now: now, Options: refusals,
	})
	verdict := group.Next(members).WithLiveLeader(members, now).WithMissing(members, &missing, now)
	log.FromContext(ctx).V(2).Info("Decided", "action", verdict.Action, "reason", verdict.Reason)

	observed := members.Observation(missing.Said())
	observed.Unconfirmed = missing.Unconfirmed

	written := r.applier.Writes(ctx, verdict.Writes)
	if written != nil {
		missing.Memory = missing.Memory.Unretried(&last.missing)
	}
	r.store(set, members, groupOutcome{
		incarnation: incarnation,
		observed:    observed,
		missing:     missing.Memory,
		pods:        members.Pods(),
		obstacle:    obstacleOfGroup(members.Index, verdict, written),
	}, now)
	if verdict.Action == group.BlockedUnwatched && written == nil {
		return ctrl.Result{RequeueAfter: r.options.UnwatchedRetryDelay}, nil
	}
	return ctrl.Result{RequeueAfter: r.requeueAfter(&missing)}, written
}

// requeueAfter returns when the next pass over a group with missing workers is due; 0 if it isn't. While workers are
// refused, the passes look often whether other groups have freed room.
func (r *groupReconciler) requeueAfter(missing *refusal.Decision) time.Duration {
	if len(missing.Refused) == 0 {
		return missing.RequeueAfter
	}
	return min(missing.RequeueAfter, r.options.Plan.Refusals.ConfirmAfter)
}

// recorded returns the group's fingerprint in the record, if this process doesn't know the group's incarnation. known
// is the leader of the one that it knows, and last the record that the last pass over the set read.
func recorded(members *snapshot.GroupMembers, known types.UID, last restart.StoredRecord) string {
	if members.Leader == nil || members.Leaders == nil || members.Leader.UID == known {
		return ""
	}
	text := members.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]
	return restart.ReadRecord(text, last).Entries[members.Index].Fingerprint
}

// store remembers what the pass observed. It enqueues the set if the set has to act on that.
func (r *groupReconciler) store(
	set types.NamespacedName, members *snapshot.GroupMembers, next groupOutcome, now time.Time,
) {
	if members.LWS == nil {
		next.obstacle, next.observed.Faults = nil, nil // No status reports them.
	}
	if changed := r.memories.storeGroup(set, members.Index, next, now); changed && members.LWS != nil {
		r.sets.Enqueue(members.LWS)
	}
}

// obstacleOfGroup returns what is in the way of a group: what the verdict is blocked by, or else what the API server
// refused, or else what the verdict doesn't wait for.
func obstacleOfGroup(index int32, verdict group.Verdict, written error) *status.Obstacle {
	message := verdict.Obstacle
	if verdict.Action == group.Blocked || verdict.Action == group.BlockedUnwatched {
		message = verdict.Reason
	} else if refused := obstacleOf(index, written); refused != nil || message == "" {
		return refused
	}
	return &status.Obstacle{
		Group:   index,
		Reason:  leaderworkersetv1.ReasonFailedCreate,
		Message: fmt.Sprintf("group %d: %s", index, message),

		PodGroup: verdict.LacksPodGroup,
	}
}
