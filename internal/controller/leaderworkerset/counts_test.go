// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// totals are what the metrics of all sets and all runs of an operator have counted.
type totals struct {
	counts   map[string]int
	restarts func(leader types.UID, cause string)
}

var _ Meter = &totals{}

// countedOperator returns an operator, and what its metrics count.
func countedOperator(t *testing.T) (simulate.Operator, *totals) {
	t.Helper()
	counted := &totals{counts: map[string]int{}}
	start := func(in simulate.Environment) ([]simulate.Controller, error) {
		counted.restarts = in.Restarted
		return startOperator(in, counted)
	}
	return simulate.Operator{Scheme: schemeOfTests(t), Cache: cacheOfTests(), Start: start}, counted
}

// Count implements [Meter].
func (m *totals) Count(_ types.NamespacedName, counts *measure.Counts) {
	for _, restart := range counts.Restarts {
		m.restarts(restart.Leader, string(restart.Cause))
		m.counts["restarts for "+string(restart.Cause)]++
	}
	m.counts["startups"] += len(counts.Startups)
	m.counts["recoveries"] += len(counts.Recoveries)
	for _, rollout := range counts.Rollouts {
		m.counts["rollouts "+string(rollout.Result)]++
	}
	for _, took := range slices.Concat(counts.Startups, counts.Recoveries) {
		if took < 0 {
			m.counts["negative durations"]++
		}
	}
}

// Forget implements [Meter].
func (*totals) Forget(types.NamespacedName) {}

// Refused implements [Meter].
func (m *totals) Refused(resource string, verb apply.Verb, reason string) {
	m.counts[fmt.Sprintf("refusals to %s %s, %s", verb, resource, reason)]++
}

// String is the last line of a film.
func (m *totals) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m.counts)) {
		if m.counts[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", name, m.counts[name]))
		}
	}
	return strings.TrimRight("         metrics                  "+strings.Join(parts, "; "), " ") + "\n"
}

// TestEveryRestartCounts lets groups fail at random in orderly worlds. Each group that ends is counted once.
func TestEveryRestartCounts(t *testing.T) {
	for seed := range uint64(*seeds) / 4 { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed+1, 3)) //nolint:gosec // Not a secret: it has to repeat.
			operator, counted := countedOperator(t)
			s := scene{t, simulate.New(t, operator)}
			s.starts("3 groups of 3", newSet(3, 3))
			for range 1 + random.IntN(6) {
				s.failsRandomly(random)
				for range random.IntN(60) {
					s.Step()
				}
				if random.IntN(2) == 0 {
					s.Settle()
				}
			}
			s.Elapse(time.Hour) // Every delay is over.
			s.recovers()
			s.CheckCounted()
			if counted.counts["startups"] < 3 || counted.counts["negative durations"] > 0 {
				t.Errorf("counted %v", counted)
			}
		})
	}
}

// failsRandomly makes one pod fail.
func (s scene) failsRandomly(random *rand.Rand) {
	s.Helper()
	name := fmt.Sprintf("a-%d", random.IntN(3))
	if worker := random.IntN(3); worker > 0 {
		name = fmt.Sprintf("%s-%d", name, worker)
	}
	switch random.IntN(4) {
	case 0:
		s.removes(name)
	case 1:
		s.RestartContainer(pod(name))
	case 2:
		s.KillPod(pod(name))
	default:
		s.DeletePod(pod(name), metav1.DeletePropagationBackground)
	}
}
