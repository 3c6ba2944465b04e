// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
)

// TestUninjectedLeaderGetsNothing checks that a leader that was created without the webhook gets neither Service nor
// workers. Once it is deleted, the workers that another controller has created for it stop.
func TestUninjectedLeaderGetsNothing(t *testing.T) {
	m := newMembers(t, ownService)
	m.Leader.Labels[leaderworkersetv1.SetNameLabelKey] = "llama"
	m.Leader.Labels[leaderworkersetv1.WorkerIndexLabelKey] = "0"
	got := group.Next(m)
	if want := "pod llama-1 was created without the webhook"; got.Action != group.Wait || got.Reason != want {
		t.Errorf("got %s: %s, want %s: %s", got.Action, got.Reason, group.Wait, want)
	}
	m.Workers = workersOf("leader")
	m.Leader.DeletionTimestamp = deleted
	if got := group.Next(m).Action; got != group.StopWorkers {
		t.Errorf("got %s for the workers of a deleted leader, want %s", got, group.StopWorkers)
	}
	m.Leader.DeletionTimestamp, m.Workers = nil, nil
	m.Leader.Labels[leaderworkersetv1.GroupIndexLabelKey] = "1"
	if got := group.Next(m).Action; got != group.CreateService {
		t.Errorf("got %s for an injected leader, want %s", got, group.CreateService)
	}
}
