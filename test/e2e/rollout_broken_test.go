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

// TestRolloutBroken has images that never become ready. They take no more groups down than the budget allows, and a good one repairs
// them all.
func TestRolloutBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"all old groups": {
			replicas: 4, size: 2, manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withImage(badImage)},
			steps:    []step{updating(3, badImage), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, once},
		},
		"all old groups, maxSurge 1": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"},
			manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withImage(badImage)},
			steps:    []step{updating(2, badImage), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, never},
		},
		"a bad image, then a good one": {
			replicas: 4, size: 2, fewestReady: 3,
			steps:    []step{settled, update(withImage(badImage)), updating(3, badImage), holdsStill, update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, twice},
		},
		"a bad image, and an old group loses its leader": {
			replicas: 4, size: 2,
			steps: []step{
				settled, update(withImage(badImage)), updating(3, badImage), loses(0, 0), regains(0), holdsStill,
				update(withImage(nextImage)), settled,
			},
			restarts: []span{twice, once, once, twice},
		},
		"a bad image, then back": {
			replicas: 4, size: 2, fewestReady: 3,
			steps:    []step{settled, update(withImage(badImage)), updating(3, badImage), holdsStill, update(withImage(image)), settled},
			restarts: []span{never, never, never, twice},
		},
		"a bad image, maxUnavailable 50%": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "50%"}, fewestReady: 2,
			steps:    []step{settled, update(withImage(badImage)), updating(2, badImage), holdsStill, update(withImage(nextImage)), settled},
			restarts: []span{once, once, twice, twice},
		},
		"a bad image, one group, maxSurge 1": {
			replicas: 1, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 1,
			steps:    []step{settled, update(withImage(badImage)), updating(1, badImage), holdsStill, update(withImage(nextImage)), settled},
			restarts: []span{once, once},
		},
		"a bad image, maxSurge 1, then back": {
			replicas: 2, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 2,
			steps:    []step{settled, update(withImage(badImage)), updating(2, badImage), holdsStill, update(withImage(image)), settled},
			restarts: []span{never, never, atMostOnce},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// holdsStill waits until nothing has happened to the set and its children for a while.
func holdsStill(t *testing.T, r *rolling) {
	t.Helper()
	const rest = 2 * time.Second
	events, since := r.events(t), time.Now()
	eventually(t, func(context.Context) error {
		if latest := r.events(t); latest != events {
			events, since = latest, time.Now()
		}
		return unless(time.Since(since) >= rest, "the set is being worked on")
	})
}

// events is how much has happened to the set and its children.
func (r *rolling) events(t *testing.T) int {
	t.Helper()
	return len(r.film.pods.sofar(t)) + len(r.film.statefulSets.sofar(t)) + len(r.versions.sofar(t))
}

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
