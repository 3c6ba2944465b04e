// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
)

// TestWithLiveLeader checks that what an older leader is to own is created only if that leader still exists. A cache
// that is late may show a leader without workers that is long gone.
func TestWithLiveLeader(t *testing.T) {
	created := time.Unix(1_700_000_000, 0)
	for _, tc := range []struct {
		age  time.Duration
		want bool
	}{{0, false}, {5 * time.Second, false}, {6 * time.Second, true}, {time.Hour, true}} {
		m := newMembers(t, ownService)
		m.Leader.CreationTimestamp = metav1.NewTime(created)
		writes := group.Next(m).WithLiveLeader(m, created.Add(tc.age)).Writes
		if len(writes) != 2 {
			t.Fatalf("the pass makes %d writes, want the Service and the workers", len(writes))
		}
		for i := range writes {
			owner := writes[i].OwnerMustLive
			if got := owner != nil && owner.UID == m.Leader.UID; got != tc.want {
				t.Errorf("leader of age %s: %T needs a live leader: %t, want %t", tc.age, writes[i].Create, got, tc.want)
			}
		}
	}
}
