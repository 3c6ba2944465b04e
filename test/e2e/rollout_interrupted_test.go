// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRolloutInterrupted has something else happen in the middle of a rollout. The budget holds all the same, and no group restarts
// more often than it has to.
func TestRolloutInterrupted(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"another image": {
			replicas: 6, size: 2, fewestReady: 5,
			steps:    []step{settled, update(withImage(nextImage)), updating(4, nextImage), update(withImage(lastImage)), settled},
			restarts: []span{once, once, once, onceOrTwice, twice, twice},
		},
		"another image, maxUnavailable 2": {
			replicas: 6, size: 2, budget: budget{maxUnavailable: "2"}, fewestReady: 4,
			steps:    []step{settled, update(withImage(nextImage)), updating(4, nextImage), update(withImage(lastImage)), settled},
			restarts: []span{once, once, onceOrTwice, onceOrTwice, twice, twice},
		},
		"another image, maxSurge 1": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 4,
			steps:    []step{settled, update(withImage(nextImage)), updating(3, nextImage), update(withImage(lastImage)), settled},
			restarts: []span{once, once, onceOrTwice, twice, once},
		},
		"another image at once": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "2"}, fewestReady: 2,
			steps:    []step{settled, update(withImage(nextImage)), letGo(3), update(withImage(lastImage)), settled},
			restarts: []span{onceOrTwice, onceOrTwice, onceOrTwice, onceOrTwice},
		},
		"back to the first image": {
			replicas: 6, size: 2, fewestReady: 5,
			steps:    []step{settled, update(withImage(nextImage)), updating(4, nextImage), update(withImage(image)), settled},
			restarts: []span{never, never, never, {0, 2}, twice, twice},
		},
		"scaled up": {
			replicas: 4, size: 2,
			steps:    []step{settled, update(withImage(nextImage)), updating(3, nextImage), update(withReplicas(6)), settled},
			restarts: []span{once, once, once, once, never, never},
		},
		"scaled down": {
			replicas: 6, size: 2,
			steps:    []step{settled, update(withImage(nextImage)), updating(5, nextImage), update(withReplicas(3)), settled},
			restarts: []span{once, once, once, atMostOnce, atMostOnce, once},
		},
		"scaled up and down, with surge": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "1", maxSurge: "1"},
			steps: []step{
				settled, update(withImage(nextImage)), updating(2, nextImage), update(withReplicas(5)),
				updating(1, nextImage), update(withReplicas(2)), settled,
			},
			restarts: []span{once, once, once, {0, 1}, {0, 1}, {0, 1}},
		},
		"an old group loses its leader": {
			replicas: 4, size: 3,
			steps:    []step{settled, update(withImage(nextImage)), updating(3, nextImage), loses(0, 0), regains(0), settled},
			restarts: []span{twice, once, once, once},
		},
		"an old group loses a worker": {
			replicas: 4, size: 3,
			steps:    []step{settled, update(withImage(nextImage)), updating(3, nextImage), loses(1, 2), regains(1), settled},
			restarts: []span{once, twice, once, once},
		},
		"size 4, then 2, then 4, old groups lose pods": {
			replicas: 4, size: 4,
			steps: []step{
				settled, update(withSize(2)), until(3, "of size 2", ofSize(2)), loses(0, 3), regains(0), settled,
				update(withSize(4)), until(3, "of size 4", ofSize(4)), loses(0, 0), regains(0), settled,
			},
			restarts: []span{{4, 4}, twice, twice, twice},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// letGo waits until a group of the first revision may be replaced, if it hasn't been yet.
func letGo(index int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		eventually(t, func(context.Context) error {
			now, first := r.film.current(t), r.film.lives(t)[index][0]
			return unless(now.partition <= index && now.revision != keyOf(first), "group %d is protected", index)
		})
	}
}

func ofSize(size int) func(liveGroup) bool {
	return func(group liveGroup) bool { return groupSize(group.leader) == size }
}

// TestLocalRolloutWhileAway has the operator die again and again in the middle of a rollout.
func TestLocalRolloutWhileAway(t *testing.T) {
	dies := func(t *testing.T, _ *rolling) { t.Helper(); whileAway(t, func() {}) }
	diesAnd := func(during step) step {
		return func(t *testing.T, r *rolling) { t.Helper(); whileAway(t, func() { during(t, r) }) }
	}
	tests := map[string]rollout{
		"after each step": {
			replicas: 4, size: 3, fewestReady: 3,
			steps: []step{
				settled, update(withImage(nextImage)), dies, updating(3, nextImage), dies, updated(3, nextImage), dies,
				updating(2, nextImage), dies, updating(0, nextImage), dies, settled,
			},
			restarts: []span{once, once, once, once},
		},
		"with surge": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 3,
			steps: []step{
				settled, update(withImage(nextImage)), updating(3, nextImage), dies, updating(2, nextImage), dies, updating(0, nextImage), dies,
				settled,
			},
			restarts: []span{once, once, once, never},
		},
		"an old group loses its leader": {
			replicas: 4, size: 2,
			steps:    []step{settled, update(withImage(nextImage)), updating(3, nextImage), diesAnd(loses(0, 0)), regains(0), settled},
			restarts: []span{twice, once, once, once},
		},
		"another image": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "2"},
			steps: []step{
				settled, update(withImage(nextImage)), updating(3, nextImage), update(withImage(lastImage)), dies, settled,
			},
			restarts: []span{once, once, twice, twice},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test.run(t) })
	}
}

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
