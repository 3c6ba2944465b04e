// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// now is the time of all decisions.
var now = time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)

// minutesAgo is a time before now.
func minutesAgo(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }

// told is a condition Upgradeable of some minutes ago.
func told(status metav1.ConditionStatus, reason string, minutes int) *metav1.Condition {
	return &metav1.Condition{Type: operatorsv2.Upgradeable, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(minutesAgo(minutes))}
}

func TestNextUpgradeable(t *testing.T) {
	for name, test := range map[string]struct {
		begun       map[string]int // by LeaderWorkerSet, minutes ago
		before      *metav1.Condition
		wantReason  string
		wantMessage string
		wantChanges time.Time
	}{
		"no rollout, as the first thing": {
			wantReason: reasonAtRest, wantMessage: "No LeaderWorkerSet is in a rolling update",
		},
		"no rollout any more": {
			before:     told(metav1.ConditionFalse, reasonRollingUpdates, 5),
			wantReason: reasonAtRest, wantMessage: "No LeaderWorkerSet is in a rolling update",
		},
		"one rollout, as the first thing": {
			begun:      map[string]int{"a": 10},
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a",
			wantChanges: minutesAgo(10).Add(patience),
		},
		"one that is seen a moment after OLM was told that there is none": {
			begun: map[string]int{"a": 10}, before: told(metav1.ConditionTrue, reasonAtRest, 9),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a",
			wantChanges: minutesAgo(10).Add(patience),
		},
		"the first of several changes the condition by time": {
			begun: map[string]int{"c": 10, "a": 30, "b": 20}, before: told(metav1.ConditionFalse, reasonRollingUpdates, 30),
			wantReason: reasonRollingUpdates, wantMessage: "3 LeaderWorkerSets are in a rolling update: default/a, default/b, default/c",
			wantChanges: minutesAgo(30).Add(patience),
		},
		"more than are named": {
			begun:       map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1},
			wantReason:  reasonRollingUpdates,
			wantMessage: "7 LeaderWorkerSets are in a rolling update: default/a, default/b, default/c, default/d, default/e and 2 more",
			wantChanges: minutesAgo(1).Add(patience),
		},
		"one that doesn't end": {
			begun: map[string]int{"a": 60}, before: told(metav1.ConditionFalse, reasonRollingUpdates, 60),
			wantReason: reasonOverdue, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a; upgrades have waited long enough for that",
		},
		"one that doesn't end, as the first thing of a new version": {
			begun:      map[string]int{"a": 6000},
			wantReason: reasonOverdue, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a; upgrades have waited long enough for that",
		},
		"one beside one that doesn't end": {
			begun: map[string]int{"a": 6000, "b": 10}, before: told(metav1.ConditionTrue, reasonOverdue, 5940),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b",
			wantChanges: minutesAgo(10).Add(patience),
		},
		"one that began while others held upgrades back": {
			begun: map[string]int{"b": 50}, before: told(metav1.ConditionFalse, reasonRollingUpdates, 110),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b",
			wantChanges: minutesAgo(50).Add(patience),
		},
		"one that began when others had held upgrades back for too long": {
			begun: map[string]int{"b": 20}, before: told(metav1.ConditionFalse, reasonRollingUpdates, 110),
			wantReason: reasonOverdue, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b; upgrades have waited long enough for that",
		},
		"upgrades have their turn until another begins": {
			begun: map[string]int{"b": 20}, before: told(metav1.ConditionTrue, reasonOverdue, 5),
			wantReason: reasonOverdue, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b; upgrades have waited long enough for that",
		},
		"another begins": {
			begun: map[string]int{"b": 20, "c": 5}, before: told(metav1.ConditionTrue, reasonOverdue, 5),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/c",
			wantChanges: minutesAgo(5).Add(patience),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sets []leaderworkersetv1.LeaderWorkerSet
			for set, minutes := range test.begun {
				sets = append(sets, newSet(set, metav1.ConditionTrue, minutes))
			}
			want := metav1.Condition{
				Type: operatorsv2.Upgradeable, Status: metav1.ConditionTrue, Reason: test.wantReason, Message: test.wantMessage,
				LastTransitionTime: metav1.NewTime(now),
			}
			if test.wantReason == reasonRollingUpdates {
				want.Status = metav1.ConditionFalse
			}
			got, changes := nextUpgradeable(rolloutsOf(sets), test.before, now)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			if !changes.Equal(test.wantChanges) {
				t.Errorf("it changes at %s; want %s", changes, test.wantChanges)
			}
		})
	}
}

// TestUpgradesGetTheirTurn has rollouts of 40 minutes begin every 15 minutes for ever, by sets that take turns.
func TestUpgradesGetTheirTurn(t *testing.T) {
	const every, lasts, until = 15, 40, 24 * 60
	var before *metav1.Condition
	held, longest := 0, 0
	for minute := range until {
		at := now.Add(time.Duration(minute) * time.Minute)
		var rollouts []rollout
		for begun := minute / every * every; begun >= 0 && minute-begun < lasts; begun -= every {
			rollouts = append(rollouts, rollout{set: fmt.Sprintf("default/set-%d", begun), begun: now.Add(time.Duration(begun) * time.Minute)})
		}
		next, _ := nextUpgradeable(rollouts, before, at)
		if before != nil && before.Status == next.Status {
			next.LastTransitionTime = before.LastTransitionTime
		}
		before = &next
		held++
		if next.Status == metav1.ConditionTrue {
			held = 0
		}
		longest = max(longest, held)
	}
	if bound := int(2 * patience / time.Minute); longest == 0 || longest > bound {
		t.Errorf("upgrades were held back for %d minutes on end; want some, and %d at most", longest, bound)
	}
}

func TestInProgress(t *testing.T) {
	deleted := newSet("a", metav1.ConditionTrue, 1)
	deleted.DeletionTimestamp = &metav1.Time{Time: now}
	for name, test := range map[string]struct {
		set  leaderworkersetv1.LeaderWorkerSet
		want bool
	}{
		"a rollout":                          {newSet("a", metav1.ConditionTrue, 1), true},
		"none, or held by the partition":     {newSet("a", metav1.ConditionFalse, 1), false},
		"before the first pass":              {leaderworkersetv1.LeaderWorkerSet{}, false},
		"a set that is deleted in a rollout": {deleted, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := inProgress(&test.set); got != test.want {
				t.Errorf("got %t; want %t", got, test.want)
			}
		})
	}
}

// newSet is a LeaderWorkerSet whose condition UpdateInProgress has had a status for some minutes.
func newSet(name string, status metav1.ConditionStatus, minutes int) leaderworkersetv1.LeaderWorkerSet {
	return leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Status: leaderworkersetv1.LeaderWorkerSetStatus{Conditions: []metav1.Condition{{
			Type: leaderworkersetv1.ConditionUpdateInProgress, Status: status, LastTransitionTime: metav1.NewTime(minutesAgo(minutes)),
		}}},
	}
}
