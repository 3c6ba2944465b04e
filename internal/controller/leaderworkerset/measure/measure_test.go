// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRollout follows rolling updates by the condition UpdateInProgress.
func TestRollout(t *testing.T) {
	begun, ended := time.Unix(1000, 0), time.Unix(1600, 0)
	updating := func(status metav1.ConditionStatus, reason string, at time.Time) []metav1.Condition {
		return []metav1.Condition{{
			Type: leaderworkersetv1.ConditionUpdateInProgress, Status: status, Reason: reason,
			LastTransitionTime: metav1.NewTime(at),
		}}
	}
	for _, tc := range []struct {
		name       string
		since      time.Time
		conditions []metav1.Condition
		want       []Rollout
		wantSince  time.Time
	}{
		{"a new set", time.Time{}, nil, nil, time.Time{}},
		{"begins", time.Time{}, updating(metav1.ConditionTrue, leaderworkersetv1.ReasonGroupsUpdating, begun), nil, begun},
		{"goes on", begun, updating(metav1.ConditionTrue, leaderworkersetv1.ReasonGroupsUpdating, begun), nil, begun},
		{
			"completes", begun, updating(metav1.ConditionFalse, leaderworkersetv1.ReasonAllGroupsUpToDate, ended),
			[]Rollout{{Complete, 10 * time.Minute}}, time.Time{},
		},
		{
			"comes down to the partition", begun,
			updating(metav1.ConditionFalse, leaderworkersetv1.ReasonHeldByPartition, ended),
			[]Rollout{{HeldByPartition, 10 * time.Minute}}, time.Time{},
		},
		{
			"was over before", time.Time{},
			updating(metav1.ConditionFalse, leaderworkersetv1.ReasonAllGroupsUpToDate, ended), nil, time.Time{},
		},
	} {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		lws.Status.Conditions = tc.conditions
		var counts Counts
		since := counts.addRollout(tc.since, lws)
		if diff := cmp.Diff(tc.want, counts.Rollouts); diff != "" || !since.Equal(tc.wantSince) {
			t.Errorf("%s: since %s, want %s; rollouts (-want +got):\n%s", tc.name, since, tc.wantSince, diff)
		}
	}
}
