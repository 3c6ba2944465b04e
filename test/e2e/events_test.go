// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// eventsOf returns the events on a set.
func eventsOf(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) ([]eventsv1.Event, error) {
	var list eventsv1.EventList
	if err := suite.client.List(ctx, &list, client.InNamespace(lws.Namespace)); err != nil {
		return nil, err
	}
	var events []eventsv1.Event
	for _, event := range list.Items {
		if event.Regarding.UID == lws.UID {
			events = append(events, event)
		}
	}
	return events, nil
}

// eventCounts counts how often an event of each reason was recorded.
func eventCounts(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) (map[string]int, error) {
	events, err := eventsOf(ctx, lws)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, event := range events {
		counts[event.Reason]++
		if event.Series != nil {
			counts[event.Reason] += int(event.Series.Count) - 1
		}
	}
	return counts, nil
}

// warningsOf counts the warnings of each reason.
func warningsOf(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) map[string]int {
	t.Helper()
	events, err := eventsOf(t.Context(), lws)
	if err != nil {
		t.Fatal(err)
	}
	warnings := map[string]int{}
	for _, event := range events {
		if event.Type == corev1.EventTypeWarning {
			warnings[event.Reason]++
		}
	}
	return warnings
}

// untilFailing waits until the set's condition ReplicaFailure and a warning report that an object could not be created.
// Both have to contain the message.
func untilFailing(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, message string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		condition := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
		if condition == nil || condition.Status != metav1.ConditionTrue ||
			condition.Reason != leaderworkersetv1.ReasonFailedCreate || !strings.Contains(condition.Message, message) {
			return fmt.Errorf("condition ReplicaFailure with %q: got %+v", message, condition)
		}
		events, err := eventsOf(ctx, lws)
		if err != nil {
			return err
		}
		for _, event := range events {
			if event.Type == corev1.EventTypeWarning && event.Reason == leaderworkersetv1.ReasonFailedCreate &&
				strings.Contains(event.Note, message) {
				return nil
			}
		}
		return fmt.Errorf("no warning FailedCreate with %q", message)
	})
}

// untilRecovered waits until the set is available and has no condition ReplicaFailure.
func untilRecovered(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		failing := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
		return unless(available(lws) && failing == nil, "status %+v", lws.Status)
	})
}
