// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRolloutSubdomains updates a set from the shared subdomain to a subdomain for each group, and back.
func TestRolloutSubdomains(t *testing.T) {
	t.Parallel()
	shared := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.NetworkConfig = nil }
	test := rollout{
		replicas: 3, size: 2, fewestReady: 2,
		steps: []step{
			untilComplete, update(uniquePerReplica), untilComplete, untilServices("roll-0", "roll-1", "roll-2"),
			update(shared), untilComplete, untilServices("roll"),
		},
		restarts: []span{twice, twice, twice},
	}
	test.run(t)
}

// untilServices waits until exactly these Services exist.
func untilServices(names ...string) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		untilNamed(t, servicesIn(r.lws.Namespace), names...)
	}
}
