// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package status says where a LeaderWorkerSet is: counts, conditions, and the events of what has just changed.
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
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Input is what a status is made from.
type Input struct {
	// Set is the set as it was observed.
	Set *snapshot.Set

	// Revision is the key of the current revision.
	Revision string

	// Rollout is the step of the rollout that was decided on in this pass.
	Rollout rollout.Decision

	// Failures are what stands in the way, of the set as a whole or of single groups.
	Failures []snapshot.Failure

	// Crashes are what is known of groups that crashed, by index.
	Crashes map[int32]Crashes

	// Unrecorded says that a group is ready that nothing has been written down of yet. Users aren't told that all groups are ready before.
	Unrecorded bool

	// Now is the time of conditions that change.
	Now metav1.Time
}

// actionReconcile is the action of events that tell of a state, not of a single write.
const actionReconcile = "Reconcile"

// Event is something to tell the user about a LeaderWorkerSet.
type Event struct {
	// Type is Normal or Warning, as in the core API.
	Type string

	// Reason is one of the API package's reasons.
	Reason string

	// Action says what the operator did, or tried, in one word.
	Action string

	// Note is the message.
	Note string
}

// Next is the status after this pass, and the events of its changes. What didn't change keeps its time.
func Next(in Input) (leaderworkersetv1.LeaderWorkerSetStatus, []Event) {
	before := &in.Set.LWS.Status
	next := *before.DeepCopy()
	next.ObservedGeneration = in.Set.LWS.Generation
	next.HPAPodSelector = labels.Set{
		leaderworkersetv1.SetNameLabelKey:     in.Set.LWS.Name,
		leaderworkersetv1.WorkerIndexLabelKey: identity.FormatIndex(0),
	}.String()

	counted := count(in)
	next.Replicas, next.ReadyReplicas, next.UpdatedReplicas = counted.existing, counted.ready, counted.updated
	for _, condition := range conditions(in, counted) {
		condition.ObservedGeneration = in.Set.LWS.Generation
		condition.LastTransitionTime = in.Now
		meta.SetStatusCondition(&next.Conditions, condition)
	}
	next.UnreadyGroups = unreadyGroups(in, counted.replicas)
	setWhile(in, &next.Conditions, leaderworkersetv1.ConditionFailed, leaderworkersetv1.ReasonGroupsFailed, failedMessage(in))
	reason, message := replicaFailure(in.Failures)
	setWhile(in, &next.Conditions, leaderworkersetv1.ConditionReplicaFailure, reason, message)
	return next, events(before.Conditions, next.Conditions)
}

// Unchanged is the status as it was but for what stands in the way, and the events of that: for a pass that can't tell the rest yet.
func Unchanged(in Input) (leaderworkersetv1.LeaderWorkerSetStatus, []Event) {
	next := *in.Set.LWS.Status.DeepCopy()
	reason, message := replicaFailure(in.Failures)
	setWhile(in, &next.Conditions, leaderworkersetv1.ConditionReplicaFailure, reason, message)
	return next, events(in.Set.LWS.Status.Conditions, next.Conditions)
}

// IsUrgent says whether a status has to be written at once: it tells of another generation, or of more than numbers. The messages of
// conditions are in no hurry, but for those of failures.
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
	return before.ObservedGeneration != next.ObservedGeneration || !maps.Equal(state(before.Conditions), state(next.Conditions))
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

// conditions are those that are always there. Available needs the rollout to be over, too: in the middle of one, all groups are ready
// for a moment after each step, and the condition would flap.
func conditions(in Input, c counts) []metav1.Condition {
	updating := in.Rollout.Outdated > 0
	told := meta.IsStatusConditionTrue(in.Set.LWS.Status.Conditions, leaderworkersetv1.ConditionAvailable)
	available := c.wantedAndReady == c.replicas && !updating && (told || !in.Unrecorded)
	message := fmt.Sprintf("%d of %d groups are ready", c.wantedAndReady, c.replicas)
	if updating {
		message += fmt.Sprintf(", %d have to be updated", in.Rollout.Outdated)
	}
	upToDate := leaderworkersetv1.ReasonAllGroupsUpToDate
	if in.Rollout.Reason == rollout.HeldByPartition {
		upToDate = leaderworkersetv1.ReasonHeldByPartition
	}
	return []metav1.Condition{
		condition(leaderworkersetv1.ConditionAvailable, available, leaderworkersetv1.ReasonAllGroupsReady, leaderworkersetv1.ReasonGroupsProgressing, message),
		condition(leaderworkersetv1.ConditionProgressing, !available, leaderworkersetv1.ReasonGroupsProgressing, leaderworkersetv1.ReasonAllGroupsReady, message),
		condition(leaderworkersetv1.ConditionUpdateInProgress, updating, leaderworkersetv1.ReasonGroupsUpdating, upToDate, rolloutMessage(in, c)),
	}
}

// rolloutMessage tells how far the rollout is, and what it waits for: "17 of 20 groups have to be updated, waiting for groups 17-18; 2 may be
// unavailable".
func rolloutMessage(in Input, c counts) string {
	switch in.Rollout.Reason {
	case rollout.HeldByPartition:
		return fmt.Sprintf("%s up to date, the partition holds the others", groupsAre(c.updated))
	case rollout.WaitingForGroups:
		_, unavailable := snapshot.Budget(in.Set.LWS)
		message := fmt.Sprintf("%d of %d groups have to be updated", in.Rollout.Outdated, c.replicas)
		if waiting := unready(in); len(waiting) > 0 {
			message += ", waiting for " + Groups(waiting)
		}
		return fmt.Sprintf("%s; %d may be unavailable", message, unavailable)
	default:
		return "All groups are up to date"
	}
}

// unready are the indices of the groups that aren't ready, or don't exist, surge included.
func unready(in Input) []int32 {
	ready := map[int32]bool{}
	for _, group := range in.Set.Groups {
		ready[group.Index] = group.Ready()
	}
	var indices []int32
	for index := range in.Rollout.Replicas {
		if !ready[index] {
			indices = append(indices, index)
		}
	}
	return indices
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

// maxFailures bounds how many groups' failures the condition's message quotes.
const maxFailures = 3

// setWhile has a condition as long as there is a message, and takes it away after, as Deployments do with ReplicaFailure.
func setWhile(in Input, conditions *[]metav1.Condition, kind, reason, message string) {
	if message == "" {
		meta.RemoveStatusCondition(conditions, kind)
		return
	}
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type:               kind,
		Status:             metav1.ConditionTrue,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: in.Set.LWS.Generation,
		LastTransitionTime: in.Now,
	})
}

// replicaFailure tells of what can't be written; empty if there is nothing.
func replicaFailure(failures []snapshot.Failure) (reason, message string) {
	if len(failures) == 0 {
		return "", ""
	}
	return failures[0].Reason, failureMessage(failures)
}

// maxMessage bounds what the condition's message quotes, in bytes. With what comes around it, it fits into the 1024 that the note of an
// event may have.
const maxMessage = 900

func failureMessage(failures []snapshot.Failure) string {
	var messages []string
	shown := failures[:min(len(failures), maxFailures)]
	for _, failure := range shown {
		messages = append(messages, shortened(failure.Message, maxMessage/len(shown)))
	}
	if more := len(failures) - maxFailures; more > 0 {
		messages = append(messages, fmt.Sprintf("and %d more groups", more))
	}
	return strings.Join(messages, "; ")
}

// shortened is the beginning of a message, limit bytes at most and an ellipsis.
func shortened(message string, limit int) string {
	if len(message) <= limit {
		return message
	}
	return strings.ToValidUTF8(message[:limit], "") + "…"
}

// events tell of the conditions that have just become True, of a partition that a rollout has come to, and of each new failure.
func events(before, after []metav1.Condition) []Event {
	var told []Event
	for _, condition := range after {
		previous := meta.FindStatusCondition(before, condition.Type)
		wasTrue := previous != nil && previous.Status == metav1.ConditionTrue
		failure := isFailure(condition)
		held := condition.Reason == leaderworkersetv1.ReasonHeldByPartition
		switch {
		case held && wasTrue:
			told = append(told, Event{Type: corev1.EventTypeNormal, Reason: condition.Reason, Action: actionReconcile, Note: condition.Message})
		case condition.Status != metav1.ConditionTrue:
		case failure && (!wasTrue || previous.Message != condition.Message):
			told = append(told, Event{Type: corev1.EventTypeWarning, Reason: condition.Reason, Action: actionReconcile, Note: condition.Message})
		case !failure && !wasTrue:
			told = append(told, Event{Type: corev1.EventTypeNormal, Reason: condition.Reason, Action: actionReconcile, Note: condition.Message})
		}
	}
	// Ready comes last: it ends what the others tell of.
	slices.SortStableFunc(told, func(a, b Event) int { return rank(a) - rank(b) })
	return told
}

// isFailure says whether a condition is there only while something is wrong, and its message says what.
func isFailure(condition metav1.Condition) bool {
	return condition.Type == leaderworkersetv1.ConditionReplicaFailure || condition.Type == leaderworkersetv1.ConditionFailed
}

func rank(event Event) int {
	if event.Reason == leaderworkersetv1.ReasonAllGroupsReady {
		return 1
	}
	return 0
}
