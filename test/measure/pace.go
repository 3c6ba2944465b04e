// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// A piece of work is to sort some numbers, the same ones each time: a fraction of a millisecond.
const (
	workNumbers = 4096
	// attempts are made for each look at the machine, of which the shortest counts: others may have been interrupted.
	attempts = 10
	// paceInterval is the time between two looks.
	paceInterval = 500 * time.Millisecond
)

// Pace takes the time of a fixed piece of work now and then until the context is done, and returns the one in the middle. What runs beside
// this machine on the same cores of a host slows it down, and CPU time with it: two measurements compare as far as their paces do.
func Pace(ctx context.Context) time.Duration {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // The same numbers each time is what they are for.
	numbers := random.Perm(workNumbers)
	looks := []time.Duration{work(numbers)}
	ticker := time.NewTicker(paceInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			slices.Sort(looks)
			return looks[len(looks)/2]
		case <-ticker.C:
			looks = append(looks, work(numbers))
		}
	}
}

// work is the shortest time in which the numbers could be sorted.
func work(numbers []int) time.Duration {
	shortest := time.Duration(0)
	for range attempts {
		sorted := slices.Clone(numbers)
		began := time.Now()
		slices.Sort(sorted)
		if took := time.Since(began); shortest == 0 || took < shortest {
			shortest = took
		}
	}
	return shortest
}
