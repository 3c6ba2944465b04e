// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// withRefusedImage is a change to an image whose pods a policy refuses.
func withRefusedImage(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = simulate.RefusedImage
}

// TestRefusalFilms compares what happens while the API server refuses pods.
func TestRefusalFilms(t *testing.T) {
	compareFilms(t, "refused-", map[string]func(scene){
		"rollback": func(s scene) {
			s.starts("3 groups of 2, maxUnavailable 1, maxSurge 1", newSet(3, 2, withBudget(1, 1)))
			s.LimitQuota(6)
			s.changes("image:2", withImage(2))
			s.Elapse(12 * time.Second)
			s.becomes("image:1", withImage(1))
		},
		"surge": func(s scene) {
			s.starts("2 groups of 3, maxUnavailable 1, maxSurge 1", newSet(2, 3, withBudget(1, 1)))
			s.LimitQuota(6)
			s.becomes("image:2", withImage(2))
		},
		"new-revision": func(s scene) {
			s.starts("4 groups of 2, maxUnavailable 1", newSet(4, 2, withBudget(1, 0)))
			s.breaks("a-1")
			s.changes("an image that a policy refuses", withRefusedImage)
			s.Elapse(6 * time.Second)
			s.removes("a-3-1")
			s.Elapse(40 * time.Second)
			s.becomes("image:2", withImage(2))
		},
		"scale-down": func(s scene) {
			s.starts("4 groups of 2", newSet(4, 2, withBudget(1, 0)))
			s.LimitQuota(6)
			s.removes("a-0")
			s.Elapse(30 * time.Second)
			s.becomes("3 groups", scaledTo(3))
		},
		"scale-down-claims": func(s scene) {
			s.starts("4 groups of 2 with volumes that go when they aren't needed",
				newSet(4, 2, withBudget(1, 0), withVolumes(appsv1.DeletePersistentVolumeClaimRetentionPolicyType)))
			before := s.claims()
			s.LimitQuota(6)
			s.removes("a-0")
			s.Elapse(30 * time.Second)
			s.becomes("3 groups", scaledTo(3))
			s.checkClaims(3, before)
		},
		"worker-aside": func(s scene) {
			s.starts("2 groups of 3", newSet(2, 3))
			s.TakeAside(at(theSet, "a-1-1"), leaderworkersetv1.GroupUniqueHashLabelKey)
			s.Elapse(5 * time.Minute)
			s.KillPod(at(theSet, "a-1-1"))
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"pod-aside": func(s scene) {
			s.starts("3 groups of 2", newSet(3, 2))
			s.TakeAside(at(theSet, "a-1"), leaderworkersetv1.SetNameLabelKey)
			s.Elapse(5 * time.Minute)
			s.KillPod(at(theSet, "a-1"))
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"while-away": func(s scene) {
			s.LimitQuota(3)
			s.creates("2 groups of 2", newSet(2, 2))
			s.Elapse(time.Minute)
			s.Stop()
			s.Elapse(10 * time.Minute)
			s.LimitQuota(4)
			s.Start()
			s.Settle()
			s.CheckReconciled(theSet)
		},
	})
}

// TestRandomWorldsWithQuota rolls out random sets in random worlds whose quota is exactly what the groups need that are
// asked for.
func TestRandomWorldsWithQuota(t *testing.T) {
	inScarceWorlds(t, 4, func(s scene, pods int32) { s.LimitQuota(int(pods)) })
}

// inScarceWorlds rolls out random sets in random worlds with room for exactly the groups that are asked for. Revisions
// are pushed and taken back, and pods are deleted. Every rollout that may make a group unavailable ends, as that of a
// Deployment does.
func inScarceWorlds(t *testing.T, stream uint64, limit func(scene, int32)) {
	t.Helper()
	play := func(t *testing.T, seed uint64) string {
		t.Helper()
		random := rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // Not a secret: it has to repeat.
		s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
		replicas, size, surge := 2*(1+random.Int32N(2)), 1+random.Int32N(3), random.Int32N(3)
		s.starts("a random set", newSet(replicas, size, withBudget(1+random.Int32N(2), surge)))
		limit(s, replicas*size)
		for range 1 + random.IntN(3) {
			version := 1 + random.IntN(3)
			s.changes(fmt.Sprintf("image:%d", version), withImage(version))
			for range random.IntN(80) {
				s.Step()
			}
			if random.IntN(2) == 0 {
				s.removes(anyPod(random, replicas, size).Name)
			}
		}
		s.Settle()
		s.CheckReconciled(theSet)
		return s.Film()
	}
	if *seed != 0 {
		t.Log("\n" + play(t, *seed))
		return
	}
	for seed := range uint64(*seeds) { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			play(t, seed+1)
		})
	}
}

// anyPod returns the key of a pod of a random group.
func anyPod(random *rand.Rand, replicas, size int32) types.NamespacedName {
	name := identity.Leader(theSet.Name, random.Int32N(replicas))
	if worker := random.Int32N(size); worker > 0 {
		name = identity.Worker(name, worker)
	}
	return at(theSet, name)
}
