// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// TestRolloutInterrupted disturbs rollouts by updates, scaling and failures. The rollout keeps the budget, and no group
// restarts more often than necessary.
func TestRolloutInterrupted(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"another image": {
			replicas: 6, size: 2, fewestReady: 5,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(4, nextImage), update(withImage(lastImage)),
				untilComplete,
			},
			restarts: []span{once, once, once, onceOrTwice, twice, twice},
		},
		"another image, maxUnavailable 2": {
			replicas: 6, size: 2, budget: budget{maxUnavailable: "2"}, fewestReady: 4,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(4, nextImage), update(withImage(lastImage)),
				untilComplete,
			},
			restarts: []span{once, once, onceOrTwice, onceOrTwice, twice, twice},
		},
		"another image, maxSurge 1": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 4,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(3, nextImage), update(withImage(lastImage)),
				untilComplete,
			},
			restarts: []span{once, once, onceOrTwice, twice, once},
		},
		"another image at once": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "2"}, fewestReady: 2,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilReleased(3), update(withImage(lastImage)), untilComplete,
			},
			restarts: []span{onceOrTwice, onceOrTwice, onceOrTwice, onceOrTwice},
		},
		"back to the first image": {
			replicas: 6, size: 2, fewestReady: 5,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(4, nextImage), update(withImage(image)), untilComplete,
			},
			restarts: []span{never, never, never, {0, 2}, twice, twice},
		},
		"scaled up": {
			replicas: 4, size: 2,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(3, nextImage), update(withReplicas(6)), untilComplete,
			},
			restarts: []span{once, once, once, once, never, never},
		},
		"scaled down": {
			replicas: 6, size: 2,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(5, nextImage), update(withReplicas(3)), untilComplete,
			},
			restarts: []span{once, once, once, atMostOnce, atMostOnce, once},
		},
		"scaled up and down, with surge": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "1", maxSurge: "1"},
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(2, nextImage), update(withReplicas(5)),
				untilCreated(1, nextImage), update(withReplicas(2)), untilComplete,
			},
			restarts: []span{once, once, once, atMostOnce, atMostOnce, atMostOnce},
		},
		"an old group loses its leader": {
			replicas: 4, size: 3,
			steps: []step{
				untilComplete, update(withImage(nextImage), readyAfter("2s")), untilCreated(3, nextImage), losePod(0, 0),
				untilComplete,
			},
			restarts: []span{onceOrTwice, once, once, once},
		},
		"an old group loses a worker": {
			replicas: 4, size: 3,
			steps: []step{
				untilComplete, update(withImage(nextImage), readyAfter("2s")), untilCreated(3, nextImage), losePod(1, 2),
				untilComplete,
			},
			restarts: []span{once, onceOrTwice, once, once},
		},
		"old groups lose pods before their release, size 4, then 2, then 4": {
			replicas: 4, size: 4,
			steps: []step{
				untilComplete, update(withSize(2), neverReady), untilGroup(3, "of size 2", ofSize(2)), losePod(0, 3),
				untilRestored(0), update(laterReady), untilComplete,
				update(withSize(4), neverReady), untilGroup(3, "of size 4", ofSize(4)), losePod(0, 0), untilRestored(0),
				update(laterReady), untilComplete,
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

// The pods of a set with neverReady become ready only after an update to laterReady, which is another revision.
var neverReady, laterReady = readyAfter(cluster.ReadyNever), readyAfter("500ms")

// untilReleased waits until the partition releases a group that has its first revision, unless that group is replaced
// already.
func untilReleased(index int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		eventually(t, func(context.Context) error {
			now, first := r.film.current(t), r.film.incarnations(t)[index][0]
			return unless(now.partition <= index && now.revision != keyOf(first),
				"the partition hasn't released group %d", index)
		})
	}
}

func ofSize(size int) func(liveGroup) bool {
	return func(group liveGroup) bool { return groupSize(group.leader) == size }
}

// TestLocalRolloutWhileDown kills the operator in the middle of rollouts, several times.
func TestLocalRolloutWhileDown(t *testing.T) {
	restartOperator := func(t *testing.T, _ *rolling) { t.Helper(); whileDown(t, func() {}) }
	duringRestart := func(during step) step {
		return func(t *testing.T, r *rolling) { t.Helper(); whileDown(t, func() { during(t, r) }) }
	}
	tests := map[string]rollout{
		"after each step": {
			replicas: 4, size: 3, fewestReady: 3,
			steps: []step{
				untilComplete, update(withImage(nextImage)), restartOperator, untilCreated(3, nextImage), restartOperator,
				untilReady(3, nextImage), restartOperator,
				untilCreated(2, nextImage), restartOperator, untilCreated(0, nextImage), restartOperator, untilComplete,
			},
			restarts: []span{once, once, once, once},
		},
		"with surge": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 3,
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(3, nextImage), restartOperator,
				untilCreated(2, nextImage), restartOperator, untilCreated(0, nextImage), restartOperator,
				untilComplete,
			},
			restarts: []span{once, once, once, never},
		},
		"an old group loses its leader": {
			replicas: 4, size: 2,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(3, badImage), duringRestart(losePod(0, 0)),
				untilRestored(0), update(withImage(nextImage)), untilComplete,
			},
			restarts: []span{twice, once, once, twice},
		},
		"another image": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "2"},
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilCreated(3, nextImage), update(withImage(lastImage)),
				restartOperator, untilComplete,
			},
			restarts: []span{once, once, twice, twice},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test.run(t) })
	}
}
