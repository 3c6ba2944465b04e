// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

const kueueGate = "kueue.x-k8s.io/admission"

func withGate(name string) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: name}}
	}
}

// TestFaultFilms compares the films of sets whose pods don't get ready. The status says why, and an operator that
// starts meanwhile writes nothing.
func TestFaultFilms(t *testing.T) {
	compareFilms(t, "fault-", map[string]func(scene){
		"gate": func(s scene) {
			s.creates("2 groups of 3, gated", newSet(2, 3, withGate(kueueGate)))
			s.Settle()
			s.CheckIdle()
			s.Ungate(kueueGate)
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"room": func(s scene) {
			s.LimitNodes(2)
			s.creates("2 groups of 3, room for 4 pods", newSet(2, 3))
			s.Settle()
			s.CheckIdle()
			s.LimitNodes(3)
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"image":      playBadImage,
		"crash-loop": playCrashLoop,
	})
}

// playBadImage alternates the two reports of a kubelet about one error. The status doesn't change with them.
func playBadImage(s scene) {
	s.starts("1 group of 3, restart policy None", newSet(1, 3, withPolicy(leaderworkersetv1.NoneRestartPolicy)))
	for attempt := range 6 {
		s.FailPull(pod("a-0-1"), attempt)
		s.FailPull(pod("a-0-2"), attempt)
		s.Elapse(20 * time.Second)
	}
	s.Settle()
	s.CheckIdle()
	s.Recover(pod("a-0-1"))
	s.Recover(pod("a-0-2"))
	s.Settle()
	s.CheckReconciled(theSet)
}

// playCrashLoop restarts a container every 10 seconds. The status counts once a minute.
func playCrashLoop(s scene) {
	s.starts("1 group of 3, restart policy None", newSet(1, 3, withPolicy(leaderworkersetv1.NoneRestartPolicy)))
	for restarts := range int32(20) {
		s.CrashLoop(pod("a-0-2"), restarts+1)
		s.Elapse(10 * time.Second)
	}
	s.Settle()
	s.CheckIdle()
	s.Recover(pod("a-0-2"))
	s.Settle()
	s.CheckReconciled(theSet)
}

// TestRandomFaults lets pods of random sets fail in random worlds. All are ready in the end, and the status is that of
// a set to which nothing happened.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(*seeds) { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed+1, 5)) //nolint:gosec // Not a secret: it has to repeat.
			s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed+1)}
			replicas, size := 1+random.Int32N(3), 1+random.Int32N(3)
			changes := []change{withPolicy(leaderworkersetv1.NoneRestartPolicy)}
			if random.IntN(2) == 0 {
				changes = append(changes, withGate(kueueGate))
			}
			s.creates("a random set", newSet(replicas, size, changes...))
			s.Elapse(time.Duration(random.IntN(60)) * time.Second)
			s.Ungate(kueueGate)
			s.Settle()
			for range random.IntN(8) {
				s.randomFault(random, replicas, size)
				s.Elapse(time.Duration(random.IntN(90)) * time.Second)
			}
			s.Settle()
			s.CheckIdle()
			for group := range replicas {
				for worker := range size {
					s.Recover(pod(podName(group, worker)))
				}
			}
			s.Settle()
			s.CheckReconciled(theSet)
		})
	}
}

func (s scene) randomFault(random *rand.Rand, replicas, size int32) {
	key := pod(podName(random.Int32N(replicas), random.Int32N(size)))
	if random.IntN(2) == 0 {
		s.FailPull(key, random.IntN(2))
	} else {
		s.CrashLoop(key, 1+random.Int32N(9))
	}
}

func podName(group, worker int32) string {
	if worker == 0 {
		return fmt.Sprintf("a-%d", group)
	}
	return fmt.Sprintf("a-%d-%d", group, worker)
}
