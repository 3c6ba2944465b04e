// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package kstatus_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderworkerset/lws-operator/internal/controller/kstatus"
)

var now = metav1.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// isTrue returns a condition that has been True for a duration.
func isTrue(kind string, since time.Duration) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: metav1.ConditionTrue, Reason: "Because", Message: kind + " holds",
		LastTransitionTime: metav1.NewTime(now.Add(-since)),
	}
}

func isFalse(kind string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: "Because"}
}

// TestSetProgress derives Stalled and Reconciling from the other conditions.
func TestSetProgress(t *testing.T) {
	for _, tc := range []struct {
		name       string
		conditions []metav1.Condition
		want       map[string]string // type to message
	}{
		{"nothing is known yet", nil, map[string]string{}},
		{"available", []metav1.Condition{isFalse("Progressing")}, map[string]string{}},
		{
			"progressing",
			[]metav1.Condition{isTrue("Progressing", time.Hour)},
			map[string]string{"Reconciling": "Progressing holds"},
		},
		{
			"refused just now",
			[]metav1.Condition{isTrue("Progressing", time.Hour), isTrue("ReplicaFailure", time.Minute)},
			map[string]string{"Reconciling": "Progressing holds"},
		},
		{
			"refused for 5 minutes",
			[]metav1.Condition{isTrue("Progressing", time.Hour), isTrue("ReplicaFailure", 5*time.Minute)},
			map[string]string{"Stalled": "ReplicaFailure holds"},
		},
		{
			"degraded just now",
			[]metav1.Condition{isTrue("Progressing", time.Hour), isTrue("Degraded", 0)},
			map[string]string{"Stalled": "Degraded holds"},
		},
		{
			"degraded and refused",
			[]metav1.Condition{isTrue("ReplicaFailure", time.Hour), isTrue("Degraded", 0)},
			map[string]string{"Stalled": "Degraded holds"},
		},
		{
			"no longer stalled",
			[]metav1.Condition{isTrue("Stalled", time.Hour), isTrue("Progressing", time.Hour)},
			map[string]string{"Reconciling": "Progressing holds"},
		},
		{
			"no longer reconciling",
			[]metav1.Condition{isTrue("Reconciling", time.Hour), isFalse("Progressing")},
			map[string]string{},
		},
		{
			"a condition without a message",
			[]metav1.Condition{{Type: "Progressing", Status: metav1.ConditionTrue, Reason: "Because"}},
			map[string]string{"Reconciling": "Because"},
		},
	} {
		conditions := append([]metav1.Condition{}, tc.conditions...)
		kstatus.At{Generation: 7, Now: now}.SetProgress(&conditions)
		got := map[string]string{}
		for _, condition := range conditions {
			if kstatus.IsProgress(condition) {
				got[condition.Type] = condition.Message
				if condition.Status != metav1.ConditionTrue || condition.ObservedGeneration != 7 {
					t.Errorf("%s: %+v", tc.name, condition)
				}
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestTransitionTime sets a condition again and again. Its time changes with its status alone.
func TestTransitionTime(t *testing.T) {
	var conditions []metav1.Condition
	want := now
	for minute, tc := range []struct {
		status  metav1.ConditionStatus
		message string
		changes bool
	}{
		{metav1.ConditionTrue, "one", true},
		{metav1.ConditionTrue, "two", false},
		{metav1.ConditionFalse, "two", true},
		{metav1.ConditionFalse, "two", false},
	} {
		at := kstatus.At{Generation: int64(minute), Now: metav1.NewTime(now.Add(time.Duration(minute) * time.Minute))}
		if tc.changes {
			want = at.Now
		}
		at.Set(&conditions, metav1.Condition{Type: "Any", Status: tc.status, Reason: "Because", Message: tc.message})
		got := conditions[0]
		if len(conditions) != 1 || got.Message != tc.message || got.ObservedGeneration != int64(minute) ||
			!got.LastTransitionTime.Equal(&want) {
			t.Errorf("after minute %d: %+v, want a change at %v", minute, conditions, want)
		}
	}
}

// TestSetWhile sets a condition while it has a message.
func TestSetWhile(t *testing.T) {
	at := kstatus.At{Now: now}
	conditions := []metav1.Condition{isTrue("Other", 0)}
	for _, tc := range []struct {
		message string
		want    int
	}{{"", 1}, {"refused", 2}, {"refused again", 2}, {"", 1}, {"", 1}} {
		at.SetWhile(&conditions, "ReplicaFailure", "FailedCreate", tc.message)
		if len(conditions) != tc.want || (tc.want == 2 && conditions[1].Message != tc.message) {
			t.Errorf("with the message %q: %+v", tc.message, conditions)
		}
	}
}

// TestUntilStalled compares how long it takes until a set counts as stalled.
func TestUntilStalled(t *testing.T) {
	for _, tc := range []struct {
		name       string
		conditions []metav1.Condition
		want       time.Duration
	}{
		{"nothing is wrong", []metav1.Condition{isTrue("Progressing", time.Hour)}, 0},
		{"refused just now", []metav1.Condition{isTrue("ReplicaFailure", 0)}, 5 * time.Minute},
		{"refused for a minute", []metav1.Condition{isTrue("ReplicaFailure", time.Minute)}, 4 * time.Minute},
		{"refused for 5 minutes", []metav1.Condition{isTrue("ReplicaFailure", 5*time.Minute)}, 0},
		{"degraded already", []metav1.Condition{isTrue("ReplicaFailure", time.Minute), isTrue("Degraded", 0)}, 0},
		{"not refused any more", []metav1.Condition{isFalse("ReplicaFailure")}, 0},
	} {
		if got := kstatus.UntilStalled(tc.conditions, now.Time); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
