// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// TestMissingWorkers checks for which groups the StatefulSet controller is asked to try again: only for those that the
// operator completes. Any other worker StatefulSet stays as it is.
func TestMissingWorkers(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, tc := range []struct {
		name   string
		change func(*snapshot.GroupMembers)
		want   bool
	}{
		{"two workers are missing", func(*snapshot.GroupMembers) {}, true},
		{"the leader terminates", func(m *snapshot.GroupMembers) { m.Leader.DeletionTimestamp = deleted }, false},
		{"the set is deleted", func(m *snapshot.GroupMembers) { m.LWS.DeletionTimestamp = deleted }, false},
		{"the set was deleted without its groups", func(m *snapshot.GroupMembers) { m.LWS = nil }, false},
		{"the set isn't supported", func(m *snapshot.GroupMembers) { m.LWS.Spec.GroupIdentity = "Hash" }, false},
		{
			"somebody else owns the leader",
			func(m *snapshot.GroupMembers) {
				m.Leader.OwnerReferences = controlledBy("StatefulSet", "llama", "other")
			}, false,
		},
	} {
		m := newMembers(t, unchanged)
		m.Workers = workersOf("leader")
		m.Workers.Spec.Replicas = ptr.To[int32](2)
		tc.change(m)
		in := refusal.Input{Now: start, Options: refusal.DefaultOptions()}
		in.Memory = group.MissingWorkers(m, in).Memory
		in.Now = start.Add(time.Hour)
		missing := group.MissingWorkers(m, in)
		writes := group.Verdict{}.WithMissing(m, &missing, in.Now).Writes
		if got := len(writes) == 1; got != tc.want {
			t.Errorf("%s: asks to try again is %t, want %t", tc.name, got, tc.want)
		}
		if tc.want && writes[0].Patch.To.GetAnnotations()[leaderworkersetv1.RetriedAtAnnotationKey] == "" {
			t.Errorf("%s: the write is %+v", tc.name, writes[0])
		}
	}
}
