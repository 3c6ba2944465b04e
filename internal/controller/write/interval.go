// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package write

import "time"

// Interval is the shortest time between two writes that only count on while groups come and go. The write, and what
// there is to report, grow with the number of groups. So does the interval.
type Interval struct {
	// Min is the shortest interval.
	Min time.Duration

	// PerGroup is the interval for each group, between Min and Max.
	PerGroup time.Duration

	// Max is the longest interval.
	Max time.Duration
}

// For returns the interval for a number of groups.
func (i Interval) For(groups int32) time.Duration {
	return min(max(i.Min, i.PerGroup*time.Duration(groups)), i.Max)
}
