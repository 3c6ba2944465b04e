// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// TestRoomFilms compares rollouts in clusters that have room for exactly the groups that are asked for.
func TestRoomFilms(t *testing.T) {
	compareFilms(t, "", map[string]func(scene){
		"room-quota": func(s scene) {
			s.starts("2 groups of 3, maxUnavailable 1, maxSurge 1", newSet(2, 3, withBudget(1, 1)))
			s.LimitPods(6)
			s.becomes("image:2", withImage(2))
		},
		"room-nodes": func(s scene) {
			s.LimitNodes(4)
			s.starts("4 groups of 2, maxUnavailable 1, maxSurge 1", newSet(4, 2, withBudget(1, 1)))
			s.becomes("image:2", withImage(2))
		},
		"room-rollback": func(s scene) {
			s.starts("3 groups of 2, maxUnavailable 1, maxSurge 1", newSet(3, 2, withBudget(1, 1)))
			s.LimitPods(6)
			s.changes("image:2", withImage(2))
			s.Elapse(12 * time.Second)
			s.becomes("image:1", withImage(1))
		},
		"room-failure": func(s scene) {
			s.LimitNodes(2)
			s.starts("2 groups of 2, maxUnavailable 0, maxSurge 1", newSet(2, 2, withBudget(0, 1)))
			s.changes("image:2", withImage(2))
			s.Elapse(5 * time.Second)
			s.removes("a-0-1")
			s.Elapse(2 * time.Minute)
			s.becomes("image:1", withImage(1))
		},
		"update-and-scale": func(s scene) {
			s.starts("2 groups of 2, maxUnavailable 1", newSet(2, 2, withBudget(1, 0)))
			s.becomes("image:2, 3 groups", both(withImage(2), scaledTo(3)))
		},
	})
}

func both(first, second change) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		first(lws)
		second(lws)
	}
}

// TestRandomWorldsWithoutRoom rolls out random sets in random worlds that have room for exactly the groups that are
// asked for. Other revisions are pushed meanwhile, and leaders are deleted if there is no surge. Every rollout ends, as
// that of a Deployment does.
//
// With surge, one that is ready may have to stay for maxUnavailable, while two groups that somebody has deleted share
// the room of one.
func TestRandomWorldsWithoutRoom(t *testing.T) {
	for seed := range uint64(*seeds) { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed+1, 3)) //nolint:gosec // Not a secret: it has to repeat.
			s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed+1)}
			replicas, size, surge := 1+random.Int32N(4), 1+random.Int32N(3), random.Int32N(3)
			s.starts("a random set", newSet(replicas, size, withBudget(1+random.Int32N(2), surge)))
			if pods := int(replicas * size); pods%2 == 0 && random.IntN(2) == 0 {
				s.LimitNodes(pods / 2)
			} else {
				s.LimitPods(pods)
			}
			for push := range 1 + random.IntN(3) {
				s.changes(fmt.Sprintf("image:%d", push+2), withImage(push+2))
				for range random.IntN(80) {
					s.Step()
				}
				if surge == 0 && random.IntN(2) == 0 {
					s.removes(fmt.Sprintf("a-%d", random.Int32N(replicas)))
				}
			}
			s.Settle()
			s.CheckReconciled(theSet)
		})
	}
}
