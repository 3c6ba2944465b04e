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

// now is the time at which the tests decide.
var now = time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)

// minutesAgo returns the time that many minutes before now.
func minutesAgo(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }

// upgradeable returns a condition Upgradeable that got its status some minutes ago.
func upgradeable(status metav1.ConditionStatus, reason string, minutes int) *metav1.Condition {
	return &metav1.Condition{
		Type: operatorsv2.Upgradeable, Status: status, Reason: reason,
		LastTransitionTime: metav1.NewTime(minutesAgo(minutes)),
	}
}

func TestNextUpgradeable(t *testing.T) {
	for name, test := range map[string]struct {
		begun       map[string]int // by LeaderWorkerSet, minutes ago
		previous    *metav1.Condition
		wantReason  string
		wantMessage string
		wantChanges time.Time
	}{
		"no rollout, no condition yet": {
			wantReason: reasonAtRest, wantMessage: "No LeaderWorkerSet is in a rolling update",
		},
		"no rollout any more": {
			previous:   upgradeable(metav1.ConditionFalse, reasonRollingUpdates, 5),
			wantReason: reasonAtRest, wantMessage: "No LeaderWorkerSet is in a rolling update",
		},
		"one rollout, no condition yet": {
			begun:      map[string]int{"a": 10},
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a",
			wantChanges: minutesAgo(10).Add(maxHold),
		},
		"one that began just before the condition said that there is none": {
			begun: map[string]int{"a": 10}, previous: upgradeable(metav1.ConditionTrue, reasonAtRest, 9),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a",
			wantChanges: minutesAgo(10).Add(maxHold),
		},
		"the first of several determines when the condition changes": {
			begun:       map[string]int{"c": 10, "a": 30, "b": 20},
			previous:    upgradeable(metav1.ConditionFalse, reasonRollingUpdates, 30),
			wantReason:  reasonRollingUpdates,
			wantMessage: "3 LeaderWorkerSets are in a rolling update: default/a, default/b, default/c",
			wantChanges: minutesAgo(30).Add(maxHold),
		},
		"more than are named": {
			begun:      map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1},
			wantReason: reasonRollingUpdates,
			wantMessage: "7 LeaderWorkerSets are in a rolling update: " +
				"default/a, default/b, default/c, default/d, default/e and 2 more",
			wantChanges: minutesAgo(1).Add(maxHold),
		},
		"one that doesn't end": {
			begun: map[string]int{"a": 60}, previous: upgradeable(metav1.ConditionFalse, reasonRollingUpdates, 60),
			wantReason:  reasonOverdue,
			wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a; upgrades have waited long enough for that",
		},
		"one that doesn't end, before the first condition of a new version": {
			begun:       map[string]int{"a": 6000},
			wantReason:  reasonOverdue,
			wantMessage: "1 LeaderWorkerSet is in a rolling update: default/a; upgrades have waited long enough for that",
		},
		"one beside one that doesn't end": {
			begun: map[string]int{"a": 6000, "b": 10}, previous: upgradeable(metav1.ConditionTrue, reasonOverdue, 5940),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b",
			wantChanges: minutesAgo(10).Add(maxHold),
		},
		"one that began while others held upgrades back": {
			begun: map[string]int{"b": 50}, previous: upgradeable(metav1.ConditionFalse, reasonRollingUpdates, 110),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b",
			wantChanges: minutesAgo(50).Add(maxHold),
		},
		"one that began when others had held upgrades back for too long": {
			begun: map[string]int{"b": 20}, previous: upgradeable(metav1.ConditionFalse, reasonRollingUpdates, 110),
			wantReason:  reasonOverdue,
			wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b; upgrades have waited long enough for that",
		},
		"upgrades are allowed until another begins": {
			begun: map[string]int{"b": 20}, previous: upgradeable(metav1.ConditionTrue, reasonOverdue, 5),
			wantReason:  reasonOverdue,
			wantMessage: "1 LeaderWorkerSet is in a rolling update: default/b; upgrades have waited long enough for that",
		},
		"another begins": {
			begun: map[string]int{"b": 20, "c": 5}, previous: upgradeable(metav1.ConditionTrue, reasonOverdue, 5),
			wantReason: reasonRollingUpdates, wantMessage: "1 LeaderWorkerSet is in a rolling update: default/c",
			wantChanges: minutesAgo(5).Add(maxHold),
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
			got, changes := nextUpgradeable(rolloutsOf(sets), test.previous, now)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			if !changes.Equal(test.wantChanges) {
				t.Errorf("the condition changes at %s; want %s", changes, test.wantChanges)
			}
		})
	}
}

// TestUpgradesGetTheirTurn starts a rollout of another set every 15 minutes, for a day. Each takes 40 minutes.
func TestUpgradesGetTheirTurn(t *testing.T) {
	const every, lasts, until = 15, 40, 24 * 60
	var previous *metav1.Condition
	held, longest := 0, 0
	for minute := range until {
		at := now.Add(time.Duration(minute) * time.Minute)
		var rollouts []rollout
		for begun := minute / every * every; begun >= 0 && minute-begun < lasts; begun -= every {
			name := fmt.Sprintf("default/set-%d", begun)
			rollouts = append(rollouts, rollout{set: name, begun: now.Add(time.Duration(begun) * time.Minute)})
		}
		next, _ := nextUpgradeable(rollouts, previous, at)
		if previous != nil && previous.Status == next.Status {
			next.LastTransitionTime = previous.LastTransitionTime
		}
		previous = &next
		held++
		if next.Status == metav1.ConditionTrue {
			held = 0
		}
		longest = max(longest, held)
	}
	if bound := int(2 * maxHold / time.Minute); longest == 0 || longest > bound {
		t.Errorf("upgrades were held back for %d minutes without a break; want more than 0, and %d at most", longest, bound)
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

// newSet returns a LeaderWorkerSet whose condition UpdateInProgress got its status some minutes ago.
func newSet(name string, status metav1.ConditionStatus, minutes int) leaderworkersetv1.LeaderWorkerSet {
	return leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Status: leaderworkersetv1.LeaderWorkerSetStatus{Conditions: []metav1.Condition{{
			Type: leaderworkersetv1.ConditionUpdateInProgress, Status: status,
			LastTransitionTime: metav1.NewTime(minutesAgo(minutes)),
		}}},
	}
}
