// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Reasons of the condition Upgradeable.
const (
	// reasonRollingUpdates holds upgrades back.
	reasonRollingUpdates = "RollingUpdatesInProgress"

	// reasonAtRest allows upgrades, which disturb no rolling update.
	reasonAtRest = "NoRollingUpdateInProgress"

	// reasonOverdue allows upgrades that have waited, or would wait, for longer than maxHold.
	reasonOverdue = "RollingUpdatesTakeTooLong"
)

// maxHold is how long a rolling update holds upgrades back. A rolling update that never ends may need a fix that only
// the upgrade brings. An upgrade during a rolling update does no harm.
const maxHold = time.Hour

// maxNamed limits how many LeaderWorkerSets a message names.
const maxNamed = 5

// rollout is a rolling update in progress.
type rollout struct {
	set   string // <namespace>/<name>
	begun time.Time
}

// inProgress reports whether a LeaderWorkerSet is in a rolling update, and since when.
func inProgress(lws *leaderworkersetv1.LeaderWorkerSet) (since time.Time, ok bool) {
	condition := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress)
	if condition == nil || condition.Status != metav1.ConditionTrue || lws.DeletionTimestamp != nil {
		return time.Time{}, false
	}
	return condition.LastTransitionTime.Time, true
}

// rolloutsOf returns the rolling updates of the LeaderWorkerSets, sorted by name.
func rolloutsOf(sets []leaderworkersetv1.LeaderWorkerSet) []rollout {
	var rollouts []rollout
	for i := range sets {
		if since, ok := inProgress(&sets[i]); ok {
			rollouts = append(rollouts, rollout{set: sets[i].Namespace + "/" + sets[i].Name, begun: since})
		}
	}
	slices.SortFunc(rollouts, func(a, b rollout) int { return cmp.Compare(a.set, b.set) })
	return rollouts
}

// nextUpgradeable returns the condition Upgradeable, given the rolling updates and the previous condition, which may be
// nil. It also returns when the condition changes without any event, or zero if it doesn't.
func nextUpgradeable(
	rollouts []rollout, previous *metav1.Condition, now time.Time,
) (next metav1.Condition, changesAt time.Time) {
	next = metav1.Condition{
		Type: operatorsv2.Upgradeable, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(now),
	}
	var holding []rollout
	for _, each := range rollouts {
		if holdsBack(each, previous, now) {
			holding = append(holding, each)
		}
	}
	switch {
	case len(holding) > 0:
		next.Status, next.Reason, next.Message = metav1.ConditionFalse, reasonRollingUpdates, describe(holding)
		first := slices.MinFunc(holding, func(a, b rollout) int { return a.begun.Compare(b.begun) })
		changesAt = first.begun.Add(maxHold)
	case len(rollouts) > 0:
		next.Reason, next.Message = reasonOverdue, describe(rollouts)+"; upgrades have waited long enough for that"
	default:
		next.Reason, next.Message = reasonAtRest, "No LeaderWorkerSet is in a rolling update"
	}
	return next, changesAt
}

// holdsBack reports whether a rolling update holds upgrades back. Upgrades get a turn even if some rolling update is
// always in progress. A rolling update that begins after upgrades have been held back for maxHold doesn't prolong the
// hold. Once the hold is over, only rolling updates that begin later start a new one.
func holdsBack(r rollout, previous *metav1.Condition, now time.Time) bool {
	switch {
	case !now.Before(r.begun.Add(maxHold)):
		return false
	case previous == nil:
		return true
	case previous.Status == metav1.ConditionFalse:
		return !r.begun.After(previous.LastTransitionTime.Add(maxHold))
	case previous.Reason == reasonOverdue:
		return !r.begun.Before(previous.LastTransitionTime.Time)
	}
	return true
}

// describe returns a message like "3 LeaderWorkerSets are in a rolling update: default/a, default/b, default/c".
func describe(rollouts []rollout) string {
	var names []string
	for _, each := range rollouts[:min(len(rollouts), maxNamed)] {
		names = append(names, each.set)
	}
	subject := "1 LeaderWorkerSet is"
	if len(rollouts) > 1 {
		subject = fmt.Sprintf("%d LeaderWorkerSets are", len(rollouts))
	}
	message := subject + " in a rolling update: " + strings.Join(names, ", ")
	if more := len(rollouts) - maxNamed; more > 0 {
		message += fmt.Sprintf(" and %d more", more)
	}
	return message
}
