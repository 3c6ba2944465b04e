// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package kstatus sets conditions, and those by which tools that know kstatus follow a set, in the same way for all
// kinds. It is pure: values in, values out.
package kstatus

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// StalledAfter is how long a ReplicaFailure lasts until the set counts as stalled. A quota is often raised before, and
// tools that wait for a set give up once it is stalled.
const StalledAfter = 5 * time.Minute

// At is when and for which generation conditions are set.
type At struct {
	Generation int64
	Now        metav1.Time
}

// Set sets the latest conditions. One whose status doesn't change keeps its time.
func (a At) Set(conditions *[]metav1.Condition, latest ...metav1.Condition) {
	for _, condition := range latest {
		condition.ObservedGeneration = a.Generation
		condition.LastTransitionTime = a.Now
		meta.SetStatusCondition(conditions, condition)
	}
}

// SetWhile sets a condition to True while there is a message, and removes it otherwise.
func (a At) SetWhile(conditions *[]metav1.Condition, kind, reason, message string) {
	if message == "" {
		meta.RemoveStatusCondition(conditions, kind)
		return
	}
	a.Set(conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message})
}

// SetProgress sets the conditions of kstatus, Stalled and Reconciling, from the others.
func (a At) SetProgress(conditions *[]metav1.Condition) {
	stalled := stalledBy(*conditions, a.Now.Time)
	a.copyWhile(conditions, leaderworkersetv1.ConditionStalled, stalled)
	var reconciling *metav1.Condition
	if stalled == nil {
		reconciling = whenTrue(*conditions, leaderworkersetv1.ConditionProgressing)
	}
	a.copyWhile(conditions, leaderworkersetv1.ConditionReconciling, reconciling)
}

// copyWhile sets a condition with the reason and message of another one, and removes it if there is none.
func (a At) copyWhile(conditions *[]metav1.Condition, kind string, from *metav1.Condition) {
	if from == nil {
		meta.RemoveStatusCondition(conditions, kind)
		return
	}
	a.SetWhile(conditions, kind, from.Reason, cmp.Or(from.Message, from.Reason))
}

// UntilStalled returns how long it takes until conditions that stay as they are mean Stalled; 0 if they never do, or
// already do.
func UntilStalled(conditions []metav1.Condition, now time.Time) time.Duration {
	refused := whenTrue(conditions, leaderworkersetv1.ConditionReplicaFailure)
	if refused == nil || stalledBy(conditions, now) != nil {
		return 0
	}
	return refused.LastTransitionTime.Add(StalledAfter).Sub(now)
}

// IsProgress reports whether a condition is one of kstatus. No events are recorded about those.
func IsProgress(condition metav1.Condition) bool {
	return condition.Type == leaderworkersetv1.ConditionStalled ||
		condition.Type == leaderworkersetv1.ConditionReconciling
}

// stalledBy returns the condition that makes a set Stalled; nil if it isn't.
func stalledBy(conditions []metav1.Condition, now time.Time) *metav1.Condition {
	if failed := whenTrue(conditions, leaderworkersetv1.ConditionDegraded); failed != nil {
		return failed
	}
	refused := whenTrue(conditions, leaderworkersetv1.ConditionReplicaFailure)
	if refused == nil || now.Before(refused.LastTransitionTime.Add(StalledAfter)) {
		return nil
	}
	return refused
}

func whenTrue(conditions []metav1.Condition, kind string) *metav1.Condition {
	if !meta.IsStatusConditionTrue(conditions, kind) {
		return nil
	}
	return meta.FindStatusCondition(conditions, kind)
}
