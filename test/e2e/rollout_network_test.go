// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRolloutSubdomains gives each group its own subdomain, group by group, and takes it back.
func TestRolloutSubdomains(t *testing.T) {
	t.Parallel()
	shared := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.NetworkConfig = nil }
	test := rollout{
		replicas: 3, size: 2, fewestReady: 2,
		steps: []step{
			settled, update(uniquePerReplica), settled, servedBy("roll-0", "roll-1", "roll-2"),
			update(shared), settled, servedBy("roll"),
		},
		restarts: []span{twice, twice, twice},
	}
	test.run(t)
}

// servedBy waits until there are these Services, and no others.
func servedBy(names ...string) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		untilNamed(t, servicesIn(r.lws.Namespace), names...)
	}
}
