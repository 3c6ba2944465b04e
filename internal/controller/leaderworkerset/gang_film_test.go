// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// inGangs makes each group of a set a gang.
func inGangs(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.Scheduling = &leaderworkersetv1.Scheduling{}
}

// workersInGangs makes the workers of each group a gang.
func workersInGangs(lws *leaderworkersetv1.LeaderWorkerSet) {
	gang := &leaderworkersetv1.SchedulingPolicy{Gang: &leaderworkersetv1.GangSchedulingPolicy{}}
	lws.Spec.Scheduling = &leaderworkersetv1.Scheduling{Replica: &leaderworkersetv1.ReplicaScheduling{
		Worker: &leaderworkersetv1.RoleScheduling{SchedulingPolicy: gang},
	}}
}

// TestGangFilms compares films of groups that are gangs. The two nodes have room for two groups and a part of another
// one, unless a film says otherwise.
func TestGangFilms(t *testing.T) {
	compareFilms(t, "gang-", map[string]func(scene){
		"create": func(s scene) {
			s.LimitNodes(4)
			s.creates("3 groups of 3, each a gang", newSet(3, 3, inGangs))
			s.Settle()
			s.LimitNodes(5)
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"restart": func(s scene) {
			s.starts("2 groups of 3, each a gang", newSet(2, 3, inGangs))
			s.removes("a-1-2")
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"workers": func(s scene) {
			s.starts("2 groups of 3, the workers a gang, after their leader is ready",
				newSet(2, 3, leaderReady, workersInGangs))
		},
		"update": func(s scene) {
			s.LimitNodes(4)
			s.creates("3 groups of 3, each a gang, maxUnavailable 1", newSet(3, 3, inGangs, withBudget(1, 0)))
			s.Settle()
			s.changes("image:2", withImage(2))
			s.Settle()
			s.LimitNodes(5)
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"update-surge": func(s scene) {
			s.starts("2 groups of 2, each a gang, maxUnavailable 0, maxSurge 1", newSet(2, 2, inGangs, withBudget(0, 1)))
			s.becomes("image:2", withImage(2))
		},
		"scale": func(s scene) {
			s.starts("1 group of 2, each a gang", newSet(1, 2, inGangs))
			s.becomes("3 groups", scaledTo(3))
			s.becomes("1 group", scaledTo(1))
		},
		"adopt": func(s scene) {
			s.starts("1 group of 2, a gang", newSet(1, 2, inGangs))
			s.deletes(metav1.DeletePropagationOrphan)
			s.Settle()
			s.starts("1 group of 2, a gang", newSet(1, 2, inGangs))
			s.deletes(metav1.DeletePropagationBackground)
			s.Settle()
			s.CheckDeleted()
		},
	})
}

// TestGangRounds restarts each of three groups 50 times. Settle checks that as many PodGroups as groups are left.
func TestGangRounds(t *testing.T) {
	s := scene{t, simulate.New(t, operatorUnderTest(t))}
	s.starts("3 groups of 3, each a gang", newSet(3, 3, inGangs))
	for range 50 {
		for group := range int32(3) {
			s.removes(identity.Worker(identity.Leader(theSet.Name, group), 1))
		}
		s.Settle()
		s.CheckReconciled(theSet)
	}
	if podGroups := len(s.API.List("PodGroup")); podGroups != 3 {
		t.Errorf("%d PodGroups", podGroups)
	}
}

// TestRandomGangs changes sets of gangs in random worlds with accidents.
func TestRandomGangs(t *testing.T) {
	inRandomWorlds(t, max(*seeds/2, 1), playRandomGangs)
}

func playRandomGangs(t *testing.T, seed uint64) string {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // Not a secret: it has to repeat.
	s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
	lws := randomGangs(random)
	s.creates("a random set of gangs", lws.DeepCopy())
	for range 2 + random.IntN(5) {
		s.stepsRandomly(random)
		if random.IntN(2) == 0 {
			changeRandomly(s, random, lws)
		} else {
			s.accidents(random)
		}
	}
	s.RecoverNode("node-1")
	s.ends(lws)
	return s.Film()
}

// TestRandomGangsWithoutRoom restarts and rolls out gangs in random worlds that have no room for some groups. Once
// there is room, all groups are ready.
func TestRandomGangsWithoutRoom(t *testing.T) {
	inRandomWorlds(t, max(*seeds/2, 1), func(t *testing.T, seed uint64) string {
		t.Helper()
		random := rand.New(rand.NewPCG(seed, 6)) //nolint:gosec // Not a secret: it has to repeat.
		s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
		lws := randomGangs(random)
		replicas, size := *lws.Spec.Replicas, *lws.Spec.LeaderWorkerTemplate.Size
		s.LimitNodes(int(replicas*size) / 3)
		s.creates("a random set of gangs", lws.DeepCopy())
		for range 1 + random.IntN(4) {
			for range random.IntN(100) {
				s.Step()
			}
			if random.IntN(2) == 0 {
				s.removes(anyPod(random, replicas, size).Name)
			} else {
				version := 1 + random.IntN(3)
				s.changes(fmt.Sprintf("image:%d", version), withImage(version))
			}
		}
		s.Elapse(10 * time.Minute)
		s.LimitNodes(100)
		s.Settle()
		s.CheckReconciled(theSet)
		return s.Film()
	})
}

// randomGangs returns a set whose groups are gangs, or the workers of each.
func randomGangs(random *rand.Rand) *leaderworkersetv1.LeaderWorkerSet {
	lws := newSet(1+random.Int32N(maxGroups-1), 2+random.Int32N(2), withBudget(1+random.Int32N(2), random.Int32N(2)))
	if random.IntN(4) == 0 {
		workersInGangs(lws)
		leaderReady(lws)
	} else {
		inGangs(lws)
	}
	if random.IntN(3) == 0 {
		uniquePerReplica(lws)
	}
	if random.IntN(3) == 0 {
		withPolicy(leaderworkersetv1.NoneRestartPolicy)(lws)
	}
	return lws
}
