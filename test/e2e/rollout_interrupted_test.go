// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/cluster"
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
			restarts: []span{once, once, once, atMostOnce, atMostOnce, atMostOnce},
		},
		"an old group loses its leader": {
			replicas: 4, size: 3,
			steps:    []step{settled, update(withImage(nextImage), readyAfter("2s")), updating(3, nextImage), loses(0, 0), settled},
			restarts: []span{onceOrTwice, once, once, once},
		},
		"an old group loses a worker": {
			replicas: 4, size: 3,
			steps:    []step{settled, update(withImage(nextImage), readyAfter("2s")), updating(3, nextImage), loses(1, 2), settled},
			restarts: []span{once, onceOrTwice, once, once},
		},
		"old groups lose pods before their turn, size 4, then 2, then 4": {
			replicas: 4, size: 4,
			steps: []step{
				settled, update(withSize(2), held), until(3, "of size 2", ofSize(2)), loses(0, 3), regains(0), update(released), settled,
				update(withSize(4), held), until(3, "of size 4", ofSize(4)), loses(0, 0), regains(0), update(released), settled,
			},
			restarts: []span{{4, 4}, twice, twice, {4, 4}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// held has pods become ready only once they are released, which is another revision.
var held, released = readyAfter(cluster.ReadyNever), readyAfter("500ms")

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
			steps: []step{
				settled, update(withImage(badImage)), updating(3, badImage), diesAnd(loses(0, 0)), regains(0),
				update(withImage(nextImage)), settled,
			},
			restarts: []span{twice, once, once, twice},
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
