// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package requeue says when the next pass is due that no event starts.
package requeue

import "time"

// Earliest returns the shortest of delays, of which 0 is for none.
func Earliest(delays ...time.Duration) time.Duration {
	first := time.Duration(0)
	for _, delay := range delays {
		if first == 0 || (delay != 0 && delay < first) {
			first = delay
		}
	}
	return first
}
