// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package status computes the status of a DisaggregatedSet and of its scalers, and the events that follow from changes.
package status

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/kstatus"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Input is what the status is computed from.
type Input struct {
	// Set is the set as it was observed.
	Set *snapshot.Set

	// Revision is the key of the current revision.
	Revision string

	// Updating says that a slice has a rollout that isn't complete.
	Updating bool

	// Rollout says in words where the rollout is; empty if there is none.
	Rollout string

	// Obstacle is what was in the way of the last pass; nil for nothing.
	Obstacle *Obstacle

	// Now is the time of conditions that change.
	Now metav1.Time
}

// Obstacle is what keeps a write from being made until somebody helps.
type Obstacle struct {
	// Reason is the reason of the condition ReplicaFailure, and of the warning event.
	Reason string

	// Message names the object and says what the API server answered.
	Message string
}

// Reported returns the obstacle that conditions report; nil for none.
func Reported(conditions []metav1.Condition) *Obstacle {
	failure := meta.FindStatusCondition(conditions, disaggregatedsetv1.ConditionReplicaFailure)
	if failure == nil || failure.Status != metav1.ConditionTrue {
		return nil
	}
	return &Obstacle{Reason: failure.Reason, Message: failure.Message}
}

// Next returns the next status, and the events about what changed.
func Next(in Input) (disaggregatedsetv1.DisaggregatedSetStatus, []write.Event) {
	before := in.Set.DSet.Status.Conditions
	next := *in.Set.DSet.Status.DeepCopy()
	next.ObservedGeneration = in.Set.DSet.Generation
	next.UpdateRevision = in.Revision
	counted := countRoles(in)
	next.RoleStatuses = nil
	for i := range counted {
		next.RoleStatuses = append(next.RoleStatuses, counted[i].status)
	}
	next.Summary = summary(counted)
	at := kstatus.At{Generation: in.Set.DSet.Generation, Now: in.Now}
	at.Set(&next.Conditions, conditions(in, counted)...)
	at.SetWhile(&next.Conditions, disaggregatedsetv1.ConditionDegraded,
		disaggregatedsetv1.ReasonReplicaRestartBudgetExceeded,
		fromChildren(in.Set, disaggregatedsetv1.ConditionDegraded))
	failure := Obstacle{
		Reason:  disaggregatedsetv1.ReasonFailedCreate,
		Message: fromChildren(in.Set, disaggregatedsetv1.ConditionReplicaFailure),
	}
	if in.Obstacle != nil {
		failure = *in.Obstacle
	}
	at.SetWhile(&next.Conditions, disaggregatedsetv1.ConditionReplicaFailure, failure.Reason, failure.Message)
	at.SetProgress(&next.Conditions)
	return next, events(before, next.Conditions)
}

// roleCount counts the groups of a role.
type roleCount struct {
	status disaggregatedsetv1.RoleStatus
	target int32

	// observed says that the status of each LeaderWorkerSet describes its spec.
	observed bool
}

func (c *roleCount) complete() bool {
	return c.observed && c.status.Replicas == c.target &&
		c.status.ReadyReplicas == c.target && c.status.UpdatedReplicas == c.target
}

func countRoles(in Input) []roleCount {
	set := in.Set
	counted := make([]roleCount, len(set.DSet.Spec.Roles))
	for i := range set.DSet.Spec.Roles {
		role := &set.DSet.Spec.Roles[i]
		count := roleCount{target: set.Target(role) * *set.DSet.Spec.Slices, observed: true}
		count.status.Name = role.Name
		for _, child := range set.Children {
			if child.Role != role.Name || child.Terminating() {
				continue
			}
			count.observed = count.observed && child.Observed()
			count.status.Replicas += child.LWS.Status.Replicas
			count.status.ReadyReplicas += child.LWS.Status.ReadyReplicas
			if child.Revision == in.Revision {
				count.status.UpdatedReplicas += child.LWS.Status.Replicas
			}
		}
		counted[i] = count
	}
	return counted
}

func summary(counted []roleCount) string {
	roles := make([]string, len(counted))
	for i := range counted {
		roles[i] = fmt.Sprintf("%s %d/%d", counted[i].status.Name, counted[i].status.ReadyReplicas, counted[i].target)
	}
	return strings.Join(roles, ", ")
}

func conditions(in Input, counted []roleCount) []metav1.Condition {
	available := !in.Updating
	var ready, updated []string
	for i := range counted {
		c := &counted[i]
		available = available && c.complete()
		ready = append(ready, fmt.Sprintf("%d of %d groups of %s are ready", c.status.ReadyReplicas, c.target, c.status.Name))
		updated = append(updated, fmt.Sprintf("%d of %d groups of %s are updated",
			c.status.UpdatedReplicas, c.target, c.status.Name))
	}
	progress := "All roles are up to date"
	if in.Updating {
		progress = strings.Join(append(updated, in.Rollout), "; ")
	}
	message := strings.Join(ready, "; ")
	allReady, rolling := disaggregatedsetv1.ReasonAllRolesReady, disaggregatedsetv1.ReasonRolloutInProgress
	return []metav1.Condition{
		condition(disaggregatedsetv1.ConditionAvailable, available, allReady, rolling, message),
		condition(disaggregatedsetv1.ConditionProgressing, !available, rolling, allReady, message),
		condition(disaggregatedsetv1.ConditionUpdateInProgress, in.Updating,
			disaggregatedsetv1.ReasonRolesUpdating, disaggregatedsetv1.ReasonAllRolesUpToDate, progress),
	}
}

func condition(kind string, holds bool, whenTrue, whenFalse, message string) metav1.Condition {
	if holds {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: whenTrue, Message: message}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: whenFalse, Message: message}
}

// fromChildren returns the messages of a condition that LeaderWorkerSets of the set have; empty if none has it.
func fromChildren(set *snapshot.Set, kind string) string {
	var messages []string
	for _, child := range set.Children {
		if c := meta.FindStatusCondition(child.LWS.Status.Conditions, kind); !child.Terminating() && c != nil &&
			c.Status == metav1.ConditionTrue {
			messages = append(messages, fmt.Sprintf("role %s, LeaderWorkerSet %s: %s", child.Role, child.LWS.Name, c.Message))
		}
	}
	return strings.Join(messages, "; ")
}

// events returns what to record of changed conditions: the end of a rollout, and failures.
func events(before, after []metav1.Condition) []write.Event {
	var recorded []write.Event
	wasTrue := func(kind string) bool { return meta.IsStatusConditionTrue(before, kind) }
	for _, c := range after {
		switch {
		case c.Type == disaggregatedsetv1.ConditionUpdateInProgress && wasTrue(c.Type) && c.Status == metav1.ConditionFalse:
			recorded = append(recorded, Normal(disaggregatedsetv1.ReasonRollingUpdateCompleted, c.Message))
		case c.Type == disaggregatedsetv1.ConditionAvailable && !wasTrue(c.Type) && c.Status == metav1.ConditionTrue:
			recorded = append(recorded, Normal(disaggregatedsetv1.ReasonAllRolesReady, c.Message))
		case c.Type == disaggregatedsetv1.ConditionReplicaFailure || c.Type == disaggregatedsetv1.ConditionDegraded:
			if was := meta.FindStatusCondition(before, c.Type); was == nil || was.Message != c.Message {
				recorded = append(recorded, write.Event{
					Type: corev1.EventTypeWarning, Reason: c.Reason, Action: action, Note: c.Message,
				})
			}
		}
	}
	return recorded
}

// RolledOut returns how long a rollout took that has ended between two statuses. ended is false if none has.
func RolledOut(before, after []metav1.Condition) (took time.Duration, ended bool) {
	was := meta.FindStatusCondition(before, disaggregatedsetv1.ConditionUpdateInProgress)
	is := meta.FindStatusCondition(after, disaggregatedsetv1.ConditionUpdateInProgress)
	if was == nil || is == nil || was.Status != metav1.ConditionTrue || is.Status == metav1.ConditionTrue {
		return 0, false
	}
	return is.LastTransitionTime.Sub(was.LastTransitionTime.Time), true
}

// action is the action of all events.
const action = "Reconcile"

// Normal returns an event that reports progress.
func Normal(reason, note string) write.Event {
	return write.Event{Type: corev1.EventTypeNormal, Reason: reason, Action: action, Note: note}
}

// Scaler returns the next status of a role's scaler.
func Scaler(
	set *snapshot.Set, role string, scaler *disaggregatedsetv1.DisaggregatedSetRoleScaler, now metav1.Time,
) disaggregatedsetv1.DisaggregatedSetRoleScalerStatus {
	next := *scaler.Status.DeepCopy()
	next.Replicas = 0
	for _, child := range set.Children {
		if child.Role == role && !child.Terminating() {
			next.Replicas += child.LWS.Status.Replicas
		}
	}
	next.Selector = desired.ScalerSelector(set.DSet.Name, role)
	next.ObservedGeneration = scaler.Generation
	at := kstatus.At{Generation: scaler.Generation, Now: now}
	at.Set(&next.Conditions, metav1.Condition{
		Type: disaggregatedsetv1.ConditionReady, Status: metav1.ConditionTrue, Reason: disaggregatedsetv1.ReasonBound,
		Message: fmt.Sprintf("scales role %s of DisaggregatedSet %s", role, set.DSet.Name),
	})
	return next
}
