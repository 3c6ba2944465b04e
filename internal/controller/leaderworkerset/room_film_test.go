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
		"room-nodes": func(s scene) {
			s.LimitNodes(4)
			s.starts("4 groups of 2, maxUnavailable 1, maxSurge 1", newSet(4, 2, withBudget(1, 1)))
			s.becomes("image:2", withImage(2))
		},
		"room-rollback": func(s scene) {
			s.LimitNodes(3)
			s.starts("3 groups of 2, maxUnavailable 1, maxSurge 1", newSet(3, 2, withBudget(1, 1)))
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

// TestRandomWorldsWithoutRoom rolls out random sets in random worlds whose nodes have room for exactly the groups that
// are asked for. Every rollout ends, as that of a Deployment does. Without surge, other revisions are pushed meanwhile,
// and leaders are deleted.
//
// With surge, that may not end: a surge group that is ready stays if maxUnavailable needs it, while two others share
// the room of one.
func TestRandomWorldsWithoutRoom(t *testing.T) {
	for seed := range uint64(*seeds) { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed+1, 3)) //nolint:gosec // Not a secret: it has to repeat.
			s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed+1)}
			replicas, size, surge := 2*(1+random.Int32N(2)), 1+random.Int32N(3), random.Int32N(2)
			s.starts("a random set", newSet(replicas, size, withBudget(1+random.Int32N(2), surge)))
			s.LimitNodes(int(replicas*size) / 2)
			pushes := 1
			if surge == 0 {
				pushes += random.IntN(3)
			}
			for push := range pushes {
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
