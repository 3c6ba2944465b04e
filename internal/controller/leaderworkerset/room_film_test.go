// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"
	"time"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
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
		"room-deferred": func(s scene) {
			s.LimitNodes(3)
			s.starts("2 groups of 2, maxUnavailable 1, maxSurge 1", newSet(2, 2, withBudget(1, 1)))
			s.changes("image:2", withImage(2))
			s.Elapse(2 * time.Second)
			s.LimitNodes(2)
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"update-and-scale": func(s scene) {
			s.starts("2 groups of 2, maxUnavailable 1", newSet(2, 2, withBudget(1, 0)))
			s.becomes("image:2, 3 groups", both(withImage(2), scaledTo(3)))
		},
		"update-and-scale-full": func(s scene) {
			s.LimitNodes(2)
			s.starts("2 groups of 2, maxUnavailable 1", newSet(2, 2, withBudget(1, 0)))
			s.changes("image:2, 3 groups", both(withImage(2), scaledTo(3)))
			s.Settle()
			s.CheckRolledOut(theSet)
			s.LimitNodes(3)
			s.Settle()
			s.CheckReconciled(theSet)
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
// are asked for.
func TestRandomWorldsWithoutRoom(t *testing.T) {
	inScarceWorlds(t, 3, func(s scene, pods int32) { s.LimitNodes(int(pods) / 2) })
}
