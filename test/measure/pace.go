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

// Pace takes the time of a fixed piece of work now and then until the context is done, and returns the one in the middle. What others run on
// the cores that this machine shares with them slows it down, and lengthens its CPU time as well: the same measurement at another pace has
// another result.
func Pace(ctx context.Context) time.Duration {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // The same numbers each time is what they are for.
	numbers := random.Perm(workNumbers)
	sorting := func() time.Duration {
		sorted := slices.Clone(numbers)
		began := time.Now()
		slices.Sort(sorted)
		return time.Since(began)
	}
	ticker := time.NewTicker(paceInterval)
	defer ticker.Stop()
	looks := []time.Duration{shortest(sorting)}
	for {
		select {
		case <-ctx.Done():
			return median(looks)
		case <-ticker.C:
			looks = append(looks, shortest(sorting))
		}
	}
}

// shortest is the least time that several attempts took.
func shortest(attempt func() time.Duration) time.Duration {
	least := attempt()
	for range attempts - 1 {
		least = min(least, attempt())
	}
	return least
}

// median is the one in the middle; of an even number, the higher one.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
