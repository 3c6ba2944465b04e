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
	// reasonRollingUpdates is that of an upgrade that has to wait.
	reasonRollingUpdates = "RollingUpdatesInProgress"

	// reasonAtRest is that of an upgrade that disturbs nothing.
	reasonAtRest = "NoRollingUpdateInProgress"

	// reasonOverdue is that of an upgrade that has waited, or would have to wait, for too long.
	reasonOverdue = "RollingUpdatesTakeTooLong"
)

// patience is how long a rolling update holds upgrades back. One that never ends may be waiting for what the upgrade mends, and an upgrade in
// the middle of one does no harm.
const patience = time.Hour

// maxNamed bounds how many LeaderWorkerSets a message names.
const maxNamed = 5

// rollout is a rolling update in progress.
type rollout struct {
	set   string // namespace/name
	begun time.Time
}

// inProgress says that a LeaderWorkerSet is in a rolling update, and since when.
func inProgress(lws *leaderworkersetv1.LeaderWorkerSet) (since time.Time, ok bool) {
	condition := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress)
	if condition == nil || condition.Status != metav1.ConditionTrue || lws.DeletionTimestamp != nil {
		return time.Time{}, false
	}
	return condition.LastTransitionTime.Time, true
}

// rolloutsOf are the rolling updates of LeaderWorkerSets, in the order of their names.
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

// nextUpgradeable is the condition Upgradeable in view of the rolling updates and of the condition before, nil if there was none; and
// when it changes by time alone, zero if it doesn't.
func nextUpgradeable(rollouts []rollout, before *metav1.Condition, now time.Time) (next metav1.Condition, changes time.Time) {
	next = metav1.Condition{Type: operatorsv2.Upgradeable, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)}
	var holding []rollout
	for _, each := range rollouts {
		if holdsBack(each, before, now) {
			holding = append(holding, each)
		}
	}
	switch {
	case len(holding) > 0:
		next.Status, next.Reason, next.Message = metav1.ConditionFalse, reasonRollingUpdates, describe(holding)
		first := slices.MinFunc(holding, func(a, b rollout) int { return a.begun.Compare(b.begun) })
		changes = first.begun.Add(patience)
	case len(rollouts) > 0:
		next.Reason, next.Message = reasonOverdue, describe(rollouts)+"; upgrades have waited long enough for that"
	default:
		next.Reason, next.Message = reasonAtRest, "No LeaderWorkerSet is in a rolling update"
	}
	return next, changes
}

// holdsBack says whether upgrades have to wait for a rolling update. Where there is always one in progress, each for a short time only, upgrades
// get their turn as well: those that begin when others have held upgrades back for long don't prolong that, and once it is over, only
// later ones begin it anew.
func holdsBack(r rollout, before *metav1.Condition, now time.Time) bool {
	switch {
	case !now.Before(r.begun.Add(patience)):
		return false
	case before == nil:
		return true
	case before.Status == metav1.ConditionFalse:
		return !r.begun.After(before.LastTransitionTime.Add(patience))
	case before.Reason == reasonOverdue:
		return !r.begun.Before(before.LastTransitionTime.Time)
	}
	return true
}

// describe tells of some rolling updates: "3 LeaderWorkerSets are in a rolling update: default/a, default/b, default/c".
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
