// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// stalledAfter is how long a ReplicaFailure lasts until the set counts as stalled. A quota is often raised before, and
// tools that wait for a set give up once it is stalled.
const stalledAfter = 5 * time.Minute

// setProgress sets the conditions that say in kstatus' words what the others say: one of Stalled and Reconciling, or
// neither.
func setProgress(in Input, conditions *[]metav1.Condition) {
	stalled := stalledBy(*conditions, in.Now.Time)
	copyWhile(in, conditions, leaderworkersetv1.ConditionStalled, stalled)
	var reconciling *metav1.Condition
	if stalled == nil {
		reconciling = whenTrue(*conditions, leaderworkersetv1.ConditionProgressing)
	}
	copyWhile(in, conditions, leaderworkersetv1.ConditionReconciling, reconciling)
}

// stalledBy returns the condition for which a set is stalled; nil if it isn't.
func stalledBy(conditions []metav1.Condition, now time.Time) *metav1.Condition {
	if failed := whenTrue(conditions, leaderworkersetv1.ConditionDegraded); failed != nil {
		return failed
	}
	refused := whenTrue(conditions, leaderworkersetv1.ConditionReplicaFailure)
	if refused == nil || now.Before(refused.LastTransitionTime.Add(stalledAfter)) {
		return nil
	}
	return refused
}

// UntilStalled returns how long it takes until a set is stalled if nothing changes; 0 if it won't be, or is already.
func UntilStalled(status *leaderworkersetv1.LeaderWorkerSetStatus, now time.Time) time.Duration {
	refused := whenTrue(status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if refused == nil || stalledBy(status.Conditions, now) != nil {
		return 0
	}
	return refused.LastTransitionTime.Add(stalledAfter).Sub(now)
}

// whenTrue returns a condition if it is True, else nil.
func whenTrue(conditions []metav1.Condition, kind string) *metav1.Condition {
	if !meta.IsStatusConditionTrue(conditions, kind) {
		return nil
	}
	return meta.FindStatusCondition(conditions, kind)
}

// copyWhile sets a condition with the reason and message of another one, and removes it if there is none.
func copyWhile(in Input, conditions *[]metav1.Condition, kind string, from *metav1.Condition) {
	if from == nil {
		meta.RemoveStatusCondition(conditions, kind)
		return
	}
	setWhile(in, conditions, kind, from.Reason, cmp.Or(from.Message, from.Reason))
}

// isProgress reports whether a condition repeats another one.
func isProgress(condition metav1.Condition) bool {
	return condition.Type == leaderworkersetv1.ConditionStalled ||
		condition.Type == leaderworkersetv1.ConditionReconciling
}
