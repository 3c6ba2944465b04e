// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// overQuota is what the API server says of a pod.
func overQuota(pod string, used int) string {
	const format = "pods %q is forbidden: exceeded quota: q, requested: pods=1, used: pods=%d, limited: pods=6"
	return fmt.Sprintf(format, pod, used)
}

// TestRefusals checks that refused pods are reported with the API server's words: of leaders, workers and surge. One
// cause is one event, whichever pod the latest refusal is about.
func TestRefusals(t *testing.T) {
	in := newInput(2, "nw")
	in.Set.Groups = in.Set.Groups[:1] // Group 1 is missing, and so is surge group 2.
	writeEarlier(in)
	refused := func(group int32, message string) status.Obstacle {
		return status.Obstacle{
			Group: group, Reason: leaderworkersetv1.ReasonFailedCreate, Message: message, Refusal: true,
		}
	}
	in.Obstacles = []status.Obstacle{refused(1, overQuota("a-1", 6)), refused(2, overQuota("a-1", 6))}
	next, events := status.Next(in)
	if len(events) != 1 || events[0].Note != overQuota("a-1", 6) {
		t.Errorf("events are %v, want one", events)
	}
	want := map[int32]string{1: overQuota("a-1", 6), 2: overQuota("a-1", 6)}
	if diff := cmp.Diff(want, unreadyMessages(next)); diff != "" {
		t.Errorf("unready groups (-want +got):\n%s", diff)
	}

	in.Set.LWS.Status = next
	in.Obstacles = []status.Obstacle{refused(1, overQuota("a-2", 5)), refused(2, overQuota("a-2", 5))}
	again, events := status.Next(in)
	if len(events) > 0 {
		t.Errorf("the same cause is reported again: %v", events)
	}
	if diff := cmp.Diff(next, again); diff != "" {
		t.Errorf("the status changes, though the cause is the same (-before +after):\n%s", diff)
	}

	in.Obstacles = []status.Obstacle{refused(1, "no images from here")}
	other, events := status.Next(in)
	if len(events) != 1 || events[0].Note != "no images from here" {
		t.Errorf("events are %v, want the other cause", events)
	}
	failure := meta.FindStatusCondition(other.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if failure == nil || failure.Message != "no images from here" {
		t.Errorf("the condition is %+v", failure)
	}
}

func unreadyMessages(of leaderworkersetv1.LeaderWorkerSetStatus) map[int32]string {
	messages := map[int32]string{}
	for _, group := range of.UnreadyGroups {
		messages[group.Index] = group.Message
	}
	return messages
}
