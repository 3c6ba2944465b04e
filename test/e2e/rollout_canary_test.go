// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestLocalRolloutCanary updates one group and holds the rollout there: the operator writes nothing. A group that fails
// is recreated at its own revision. In the end, the other groups are updated.
func TestLocalRolloutCanary(t *testing.T) {
	t.Parallel()
	const replicas = 4
	tests := map[string]rollout{
		"maxUnavailable 1": {
			fewestReady: 3, restarts: []span{twice, twice, once, twice},
		},
		"maxSurge 1": {
			budget:      budget{maxUnavailable: "0", maxSurge: "1"},
			fewestReady: 3, restarts: []span{twice, twice, once, twice, once},
		},
		"maxUnavailable 2, maxSurge 2": {
			budget:   budget{maxUnavailable: "2", maxSurge: "2"},
			restarts: []span{twice, twice, once, twice, atMostOnce, atMostOnce},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.replicas, test.size = replicas, 3
			test.manifest = []func(*leaderworkersetv1.LeaderWorkerSet){withPartition(replicas - 1)}
			test.steps = []step{
				untilComplete, update(withImage(nextImage), withSize(2)), untilComplete, untilIdle,
				losePod(0, 0), untilRestored(0), losePod(1, 2), untilRestored(1), losePod(3, 1), untilRestored(3), untilComplete,
				untilIdle,
				update(withPartition(0)), untilComplete, untilIdle,
			}
			test.run(t)
		})
	}
}

// untilIdle waits until the operator has written nothing in the set's namespace for 3 seconds, events included.
func untilIdle(t *testing.T, r *rolling) {
	t.Helper()
	const rest = 3 * time.Second
	mark, since := now(t), time.Now()
	eventually(t, func(context.Context) error {
		writes := writesIn(t, mark, r.lws.Namespace)
		if len(writes) > 0 {
			mark, since = now(t), time.Now()
		}
		return unless(time.Since(since) >= rest, "the operator still writes: %v", fmt.Sprint(writes))
	})
}
