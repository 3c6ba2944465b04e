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

// TestScarcityFilms compares rollouts where the room is scarce in other ways than on nodes and by a quota on pods.
func TestScarcityFilms(t *testing.T) {
	compareFilms(t, "scarce-", map[string]func(scene){
		"queue": func(s scene) {
			s.LimitQueue(4)
			s.starts("2 groups of 2, maxUnavailable 1, maxSurge 1", newSet(2, 2, withBudget(1, 1)))
			s.becomes("image:2", withImage(2))
		},
		"statefulsets": func(s scene) {
			s.starts("2 groups of 2, maxUnavailable 1, maxSurge 1", newSet(2, 2, withBudget(1, 1)))
			s.LimitStatefulSets(3)
			s.becomes("image:2", withImage(2))
		},
		"pinned": func(s scene) {
			s.starts("3 groups of 2, maxUnavailable 1, maxSurge 1", newSet(3, 2, withBudget(1, 1)))
			s.PinPod(pod("a-2-1"))
			s.changes("image:2", withImage(2))
			s.Elapse(10 * time.Minute)
			s.CheckAllButPinned(theSet)
			s.UnpinPod()
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"autoscaler": func(s scene) {
			s.Autoscale(2, 3)
			s.starts("2 groups of 2, maxUnavailable 0, maxSurge 1", newSet(2, 2, withBudget(0, 1)))
			s.becomes("image:2", withImage(2))
		},
	})
}

// scarcity is a kind of world that has room for exactly the groups that a set asks for.
type scarcity struct {
	name string

	// stream makes the random numbers of this kind others than those of other kinds.
	stream uint64

	// limit limits the room, before or after the set exists.
	before, after func(scene, *scarceSet)

	// loses says that the world may lose a node.
	loses bool
}

// scarceSet is the set of a scarce world.
type scarceSet struct {
	*leaderworkersetv1.LeaderWorkerSet

	replicas, size, unavailable, surge int32
}

func (s *scarceSet) pods() int { return int(s.replicas * s.size) }

// scarcities are the kinds of scarce worlds.
var scarcities = []scarcity{
	{
		name: "nodes", stream: 7, loses: true,
		after: func(s scene, set *scarceSet) { s.LimitNodes(set.pods() / 2) },
	},
	{
		name: "quota", stream: 8, loses: true,
		after: func(s scene, set *scarceSet) { s.LimitQuota(set.pods()) },
	},
	{
		name: "statefulsets", stream: 9, loses: true,
		after: func(s scene, set *scarceSet) { s.LimitStatefulSets(int(set.replicas) + 1) },
	},
	{
		name: "queue", stream: 10, loses: true,
		before: func(s scene, set *scarceSet) { s.LimitQueue(set.pods()) },
	},
	{
		name: "autoscaler", stream: 11,
		before: func(s scene, set *scarceSet) { s.Autoscale(int(set.size), int(max(set.replicas, 2))) },
	},
	{
		name: "autoscaler-surge", stream: 12,
		before: func(s scene, set *scarceSet) { s.Autoscale(int(set.size), int(max(set.replicas, 2)+set.surge)) },
	},
}

// TestRandomScarcity rolls out random sets in worlds of each kind of scarcity. In half of them, accidents happen to
// pods, nodes and the operator. Every rollout that may make a group unavailable ends, as that of a Deployment does.
func TestRandomScarcity(t *testing.T) {
	for _, kind := range scarcities {
		t.Run(kind.name, func(t *testing.T) {
			inRandomWorlds(t, max(*seeds/8, 1), kind.play)
		})
	}
}

// play runs one random world of this kind and returns its film.
func (k scarcity) play(t *testing.T, seed uint64) string {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, k.stream)) //nolint:gosec // Not a secret: it has to repeat.
	s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
	set, words := randomScarceSet(random)
	if k.before != nil {
		k.before(s, set)
	}
	s.starts(words, set.DeepCopy())
	if k.after != nil {
		k.after(s, set)
	}
	calm := random.IntN(2) == 0
	for range 1 + random.IntN(4) {
		version := 1 + random.IntN(3)
		s.changes(fmt.Sprintf("image:%d", version), withImage(version))
		for range random.IntN(80) {
			s.Step()
		}
		if calm {
			continue
		}
		if random.IntN(4) == 0 {
			s.Stop()
			s.scarceAccidents(random, k.loses)
			s.Elapse(time.Duration(random.Int64N(int64(time.Minute))))
			s.Start()
		} else {
			s.scarceAccidents(random, k.loses)
		}
	}
	if s.IsNodeLost("node-1") {
		s.RecoverNode("node-1")
	}
	s.ends(set.LeaderWorkerSet)
	return s.Film()
}

// scarceAccidents makes random accidents. A node that was lost comes back if nodes may not stay lost.
func (s scene) scarceAccidents(random *rand.Rand, loses bool) {
	s.Helper()
	s.accidents(random)
	if !loses && s.IsNodeLost("node-1") {
		s.RecoverNode("node-1")
	}
}

func randomScarceSet(random *rand.Rand) (set *scarceSet, words string) {
	policies := []leaderworkersetv1.RestartPolicyType{
		leaderworkersetv1.RecreateGroupOnPodRestart, leaderworkersetv1.RecreateGroupOnPodRestart,
		leaderworkersetv1.RecreateGroupAfterStart, leaderworkersetv1.NoneRestartPolicy,
	}
	policy := policies[random.IntN(len(policies))]
	set = &scarceSet{
		replicas: 2 * (1 + random.Int32N(2)), size: 1 + random.Int32N(3),
		unavailable: 1 + random.Int32N(2), surge: random.Int32N(3),
	}
	set.LeaderWorkerSet = newSet(set.replicas, set.size, withBudget(set.unavailable, set.surge), withPolicy(policy))
	if random.IntN(3) == 0 {
		leaderReady(set.LeaderWorkerSet)
	}
	return set, fmt.Sprintf("%d groups of %d, maxUnavailable %d, maxSurge %d, %s",
		set.replicas, set.size, set.unavailable, set.surge, policy)
}

// TestRandomPinnedGroups rolls out random sets while one pod can't come back, as its volume is on a node that is
// cordoned. All other groups are updated if the budget allows for one more than that group.
func TestRandomPinnedGroups(t *testing.T) {
	inRandomWorlds(t, max(*seeds/8, 1), playPinnedGroup)
}

// playPinnedGroup runs one such world and returns its film.
func playPinnedGroup(t *testing.T, seed uint64) string {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 13)) //nolint:gosec // Not a secret: it has to repeat.
	s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
	set, words := randomScarceSet(random)
	s.starts(words, set.DeepCopy())
	s.PinPod(anyPod(random, set.replicas, set.size))
	if random.IntN(2) == 0 {
		s.LimitQuota(set.pods() + int(set.surge*set.size))
	}
	for range 1 + random.IntN(3) {
		version := 1 + random.IntN(3)
		s.changes(fmt.Sprintf("image:%d", version), withImage(version))
		for range random.IntN(80) {
			s.Step()
		}
		if random.IntN(2) == 0 {
			s.removes(anyPod(random, set.replicas, set.size).Name)
		}
	}
	s.changes("image:5", withImage(5))
	s.Elapse(2 * time.Hour)
	if set.unavailable+set.surge > 1 {
		s.CheckAllButPinned(theSet)
	}
	s.UnpinPod()
	s.Settle()
	s.CheckReconciled(theSet)
	return s.Film()
}
