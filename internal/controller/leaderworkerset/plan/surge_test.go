// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// TestForSetReportsSurgeThatGivesWay updates 2 groups with 2 surge groups, and has no room for group 1. The surge
// groups are removed. One event says why, also if the write fails and is planned again.
func TestForSetReportsSurgeThatGivesWay(t *testing.T) {
	observed := settled(t, newSet())
	budget := observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration
	budget.MaxUnavailable, budget.MaxSurge = ptr.To(intstr.FromInt32(1)), ptr.To(intstr.FromInt32(2))
	setImage(observed.LWS, "serve:2")
	carryOut(observed, forSet(t, observed))
	settle(observed)
	for i := range observed.Groups[1:] {
		observed.Groups[i+1].Leader.Status.Conditions = nil
	}
	observed.Groups[1].Observed = &snapshot.Observation{
		Leader: observed.Groups[1].Leader.UID, WaitsForRoomSince: now.Add(-10 * time.Second),
		Faults: []snapshot.Fault{{
			Reason: leaderworkersetv1.UnreadyUnschedulable, Pods: []string{"llama-1-1"}, Text: "0/24 nodes are available",
		}},
	}

	planned := forSet(t, observed)
	wantSurgeEvents(t, "at first", planned, "Removing surge groups 2-3: there is no room for group 1 "+
		"(Unschedulable: llama-1-1: 0/24 nodes are available); no surge group is added for 1m0s")
	observed.memory.Holds = planned.Holds
	wantSurgeEvents(t, "planned again", at(t, observed, time.Second))
	carryOut(observed, planned)
	observed.Groups = observed.Groups[:2]
	wantSurgeEvents(t, "without surge", at(t, observed, 2*time.Second))
}

func wantSurgeEvents(t *testing.T, when string, planned plan.Set, notes ...string) {
	t.Helper()
	var want, got []write.Event
	for _, note := range notes {
		want = append(want, write.Event{
			Type: corev1.EventTypeNormal, Reason: leaderworkersetv1.ReasonSurgeGaveWay, Action: "ScaleDown", Note: note,
		})
	}
	for _, event := range planned.WriteEvents {
		if event.Reason == leaderworkersetv1.ReasonSurgeGaveWay {
			got = append(got, event)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events %s (-want +got):\n%s", when, diff)
	}
}
