// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package status says how a LeaderWorkerSet is doing: counts, conditions, and the events of their changes.
package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/kstatus"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Input is what a status is made from.
type Input struct {
	// Set is the set as it was observed.
	Set *snapshot.Set

	// Revision is the key of the current revision.
	Revision string

	// Release is the step of the rolling update that this pass decided on.
	Release release.Decision

	// Obstacles are in the way of writes, for the set as a whole or for single groups.
	Obstacles []Obstacle

	// Crashes are the groups that crashed, by index.
	Crashes map[int32]restart.Crash

	// Unrecorded says that a group is ready of which the record says nothing yet. Available has to wait for that.
	Unrecorded bool

	// Now is the time of conditions that change.
	Now metav1.Time
}

// actionReconcile is the action of events that report a state, not a single write.
const actionReconcile = "Reconcile"

// Next returns the status after this pass, and the events of its changes. A condition that stays keeps its time.
func Next(in Input) (leaderworkersetv1.LeaderWorkerSetStatus, []write.Event) {
	before := &in.Set.LWS.Status
	next := *before.DeepCopy()
	next.ObservedGeneration = in.Set.LWS.Generation
	next.HPAPodSelector = labels.Set{
		leaderworkersetv1.SetNameLabelKey:     in.Set.LWS.Name,
		leaderworkersetv1.WorkerIndexLabelKey: identity.FormatIndex(0),
	}.String()

	counted := count(in)
	next.Replicas, next.ReadyReplicas, next.UpdatedReplicas = counted.existing, counted.ready, counted.updated
	next.UpdateRevision = in.Revision
	in.at().Set(&next.Conditions, conditions(in, counted, progressOf(in))...)
	next.UnreadyGroups = unreadyGroups(in, counted.replicas, leaderworkersetv1.MaxUnreadyGroups)
	in.at().SetWhile(&next.Conditions, leaderworkersetv1.ConditionDegraded,
		leaderworkersetv1.ReasonReplicaRestartBudgetExceeded, degradedMessage(in))
	reason, message := replicaFailure(in.Obstacles)
	message = unlessSameCause(in, before.Conditions, message)
	in.at().SetWhile(&next.Conditions, leaderworkersetv1.ConditionReplicaFailure, reason, message)
	setScheduling(in, &next.Conditions)
	in.at().SetProgress(&next.Conditions)
	return next, events(before.Conditions, next.Conditions)
}

// Unchanged returns the status as it was, but for obstacles, and the events of that. It is for a pass that can't say
// the rest yet. If the set has no conditions yet and there is an obstacle, the set is Progressing.
func Unchanged(in Input) (leaderworkersetv1.LeaderWorkerSetStatus, []write.Event) {
	next := *in.Set.LWS.Status.DeepCopy()
	reason, message := replicaFailure(in.Obstacles)
	if message != "" && meta.FindStatusCondition(next.Conditions, leaderworkersetv1.ConditionProgressing) == nil {
		in.at().Set(&next.Conditions, unknown()...)
	}
	in.at().SetWhile(&next.Conditions, leaderworkersetv1.ConditionReplicaFailure, reason, message)
	if len(next.Conditions) > 0 { // The first status has all conditions.
		setScheduling(in, &next.Conditions)
	}
	in.at().SetProgress(&next.Conditions)
	return next, events(in.Set.LWS.Status.Conditions, next.Conditions)
}

// at returns when conditions are set.
func (in *Input) at() kstatus.At { return kstatus.At{Generation: in.Set.LWS.Generation, Now: in.Now} }

// IsUrgent reports whether a status has to be written at once: it is of another generation, or differs in more than
// numbers. The messages of conditions can wait, but for those of failures.
func IsUrgent(before, next *leaderworkersetv1.LeaderWorkerSetStatus) bool {
	state := func(conditions []metav1.Condition) map[string]string {
		states := map[string]string{}
		for _, condition := range conditions {
			states[condition.Type] = string(condition.Status) + condition.Reason
			if isFailure(condition) {
				states[condition.Type] += condition.Message
			}
		}
		return states
	}
	return before.ObservedGeneration != next.ObservedGeneration ||
		!maps.Equal(state(before.Conditions), state(next.Conditions))
}

// counts are numbers of groups.
type counts struct {
	replicas                 int32 // asked for
	existing, ready, updated int32 // surge included
	wantedAndReady           int32 // without surge
}

func count(in Input) counts {
	c := counts{replicas: *in.Set.LWS.Spec.Replicas}
	for _, group := range in.Set.Groups {
		c.existing++
		if group.Revision() == in.Revision {
			c.updated++
		}
		if group.Ready() {
			c.ready++
			if group.Index < c.replicas {
				c.wantedAndReady++
			}
		}
	}
	return c
}

// progress is how far a rolling update is, by the groups that exist.
type progress struct {
	outdated int32
	reason   rollout.Reason
}

// progressOf returns the decision on the rolling update as the status reports it. A terminating group still is
// outdated, though its successor won't be. So is one that is missing in the middle of a rollout. And the partition
// holds nothing in a set whose first groups are yet to be created.
func progressOf(in Input) progress {
	replicas, partition := *in.Set.LWS.Spec.Replicas, *in.Set.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition
	reported := progress{outdated: in.Release.Outdated, reason: in.Release.Progress}
	missing, held := replicas, false
	for _, group := range in.Set.Groups {
		if group.Index >= replicas {
			continue
		}
		missing--
		if group.Revision() == in.Revision {
			continue
		}
		held = held || group.Index < partition
		if group.Terminating() && in.Release.Includes(group.Index) {
			reported.outdated++
		}
	}
	if meta.IsStatusConditionTrue(in.Set.LWS.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress) {
		reported.outdated = max(reported.outdated, missing)
	}
	switch {
	case reported.outdated > 0:
		reported.reason = rollout.WaitingForGroups
	case reported.reason == rollout.HeldByPartition && !held:
		reported.reason = rollout.Complete
	}
	return reported
}

// conditions returns those that are always there. Available waits for the end of the rollout as well: in its middle,
// all groups are ready for a short time after each step, and the condition would flap.
func conditions(in Input, c counts, p progress) []metav1.Condition {
	updating := p.outdated > 0
	was := meta.IsStatusConditionTrue(in.Set.LWS.Status.Conditions, leaderworkersetv1.ConditionAvailable)
	available := c.wantedAndReady == c.replicas && !updating && (was || !in.Unrecorded)
	message := fmt.Sprintf("%d of %d groups are ready", c.wantedAndReady, c.replicas)
	if updating {
		message += fmt.Sprintf(", %d have to be updated", p.outdated)
	}
	upToDate := leaderworkersetv1.ReasonAllGroupsUpToDate
	if p.reason == rollout.HeldByPartition {
		upToDate = leaderworkersetv1.ReasonHeldByPartition
	}
	ready, progressing := leaderworkersetv1.ReasonAllGroupsReady, leaderworkersetv1.ReasonGroupsProgressing
	return []metav1.Condition{
		condition(leaderworkersetv1.ConditionAvailable, available, ready, progressing, message),
		condition(leaderworkersetv1.ConditionProgressing, !available, progressing, ready, message),
		condition(leaderworkersetv1.ConditionUpdateInProgress, updating,
			leaderworkersetv1.ReasonGroupsUpdating, upToDate, rolloutMessage(in, c, p)),
	}
}

// unknown returns the conditions of a set whose groups aren't known yet.
func unknown() []metav1.Condition {
	const message = "objects of the set have to be reclaimed first"
	ready, progressing := leaderworkersetv1.ReasonAllGroupsReady, leaderworkersetv1.ReasonGroupsProgressing
	return []metav1.Condition{
		condition(leaderworkersetv1.ConditionAvailable, false, ready, progressing, message),
		condition(leaderworkersetv1.ConditionProgressing, true, progressing, ready, message),
		condition(leaderworkersetv1.ConditionUpdateInProgress, false,
			leaderworkersetv1.ReasonGroupsUpdating, leaderworkersetv1.ReasonAllGroupsUpToDate, message),
	}
}

// rolloutMessage says how far the rollout is, and what it waits for: "17 of 20 groups have to be updated, waiting for
// groups 17-18; 2 may be unavailable".
func rolloutMessage(in Input, c counts, p progress) string {
	switch p.reason {
	case rollout.HeldByPartition:
		return fmt.Sprintf("%s up to date, the partition holds the others", groupsAre(c.updated))
	case rollout.WaitingForGroups:
		_, unavailable := snapshot.Budget(in.Set.LWS)
		message := fmt.Sprintf("%d of %d groups have to be updated", p.outdated, c.replicas)
		if waiting := waitingFor(in, c.replicas); waiting != "" {
			message += ", waiting for " + waiting
		}
		return fmt.Sprintf("%s; %d may be unavailable", message, unavailable)
	default:
		return "All groups are up to date"
	}
}

// waitingFor names the groups that aren't ready, or don't exist: "groups 2-3 and surge group 4".
func waitingFor(in Input, replicas int32) string {
	var names []string
	if groups := unready(in, 0, min(replicas, in.Release.Replicas)); len(groups) > 0 {
		names = append(names, groupRanges("group", groups))
	}
	if surge := unready(in, replicas, in.Release.Replicas); len(surge) > 0 {
		names = append(names, groupRanges("surge group", surge))
	}
	return strings.Join(names, " and ")
}

// unready returns the ranges of the groups from one index up to another that aren't ready, or don't exist.
func unready(in Input, from, to int32) []indexRange {
	var ranges []indexRange
	next := from
	addUntil := func(end int32) {
		if next < end {
			ranges = append(ranges, indexRange{first: next, last: end - 1})
		}
	}
	for _, group := range in.Set.Groups {
		if group.Ready() && group.Index >= from && group.Index < to {
			addUntil(group.Index)
			next = group.Index + 1
		}
	}
	addUntil(to)
	return ranges
}

func groupsAre(count int32) string {
	if count == 1 {
		return "1 group is"
	}
	return fmt.Sprintf("%d groups are", count)
}

func condition(kind string, holds bool, whenTrue, whenFalse, message string) metav1.Condition {
	if holds {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: whenTrue, Message: message}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: whenFalse, Message: message}
}

// events returns an event for each condition that has just become True, for a partition that a rollout has come down
// to, and for each new failure.
func events(before, after []metav1.Condition) []write.Event {
	var recorded []write.Event
	for _, condition := range after {
		if kind := eventType(meta.FindStatusCondition(before, condition.Type), condition); kind != "" {
			recorded = append(recorded, write.Event{
				Type: kind, Reason: condition.Reason, Action: actionReconcile, Note: condition.Message,
			})
		}
	}
	// AllGroupsReady comes last: it ends what the others report.
	slices.SortStableFunc(recorded, func(a, b write.Event) int { return rank(a) - rank(b) })
	return recorded
}

// eventType returns the type of the event about a condition; empty if there is nothing to report.
func eventType(previous *metav1.Condition, condition metav1.Condition) string {
	wasTrue := previous != nil && previous.Status == metav1.ConditionTrue
	held := condition.Reason == leaderworkersetv1.ReasonHeldByPartition
	switch {
	case kstatus.IsProgress(condition), condition.Type == leaderworkersetv1.ConditionWorkloadSchedulingCreated:
		return ""
	case held && wasTrue:
		return corev1.EventTypeNormal
	case condition.Status != metav1.ConditionTrue:
		return ""
	case isFailure(condition):
		if !wasTrue || previous.Message != condition.Message {
			return corev1.EventTypeWarning
		}
	case !wasTrue:
		return corev1.EventTypeNormal
	}
	return ""
}

// isFailure reports whether a condition exists only while something is wrong, which its message describes.
func isFailure(condition metav1.Condition) bool {
	return condition.Type == leaderworkersetv1.ConditionReplicaFailure ||
		condition.Type == leaderworkersetv1.ConditionDegraded
}

func rank(event write.Event) int {
	if event.Reason == leaderworkersetv1.ReasonAllGroupsReady {
		return 1
	}
	return 0
}
