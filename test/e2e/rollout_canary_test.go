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

// TestLocalRolloutCanary updates one group, and holds still: the operator writes nothing, and a group that dies comes back as it was,
// the others with it, at the end.
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
				settled, update(withImage(nextImage), withSize(2)), settled, quiet,
				loses(0, 0), regains(0), loses(1, 2), regains(1), loses(3, 1), regains(3), settled, quiet,
				update(withPartition(0)), settled, quiet,
			}
			test.run(t)
		})
	}
}

// quiet waits until the operator has written nothing for a while, events included.
func quiet(t *testing.T, r *rolling) {
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
