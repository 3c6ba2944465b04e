// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"time"

	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Options shape restarts.
type Options struct {
	// BaseDelay is the delay before the second restart in a row of a group that crashes. The first has none; each further
	// delay is twice the one before.
	BaseDelay time.Duration

	// MaxDelay bounds the delay.
	MaxDelay time.Duration

	// HealthyAfter is how long a group has to run since its last restart for its count to start over.
	HealthyAfter time.Duration

	// RecordInterval is how often the record is written while groups come and go. A failure that follows its group's
	// completion by less, while no operator runs, goes unnoticed. The record is always written when all groups are
	// complete, before the status says so.
	RecordInterval write.Interval
}

// DefaultOptions returns the delays of the kubelet for containers that crash: none, then 10 s, 20 s, 40 s, … up to 5
// min, and a count that starts over after 10 min. The record is written every 2 s for up to 200 groups, every 5 s for
// 500.
func DefaultOptions() Options {
	return Options{
		BaseDelay:      10 * time.Second,
		MaxDelay:       5 * time.Minute,
		HealthyAfter:   10 * time.Minute,
		RecordInterval: write.Interval{Min: 2 * time.Second, PerGroup: 10 * time.Millisecond, Max: 10 * time.Second},
	}
}

// delay returns how long after its last restart a group may be restarted: 0, 10 s, 20 s, 40 s, 80 s, 160 s, 300 s, 300
// s, …
func (o *Options) delay(restarts int32) time.Duration {
	if restarts == 0 {
		return 0
	}
	delay := o.BaseDelay
	for range restarts - 1 {
		if delay >= o.MaxDelay {
			break
		}
		delay *= 2
	}
	return min(delay, o.MaxDelay)
}

// rounding is by how much a recorded time is rounded up at most.
const rounding = time.Second - time.Nanosecond

// wait returns how long the next restart has to wait after that many in a row, the last of which was some time ago; 0
// or less if it doesn't. A time in the future says nothing: a clock was ahead, or was set back. Nothing waits for it.
func (o *Options) wait(restarts int32, since time.Duration) time.Duration {
	if since < -rounding {
		return 0
	}
	return o.delay(restarts) - since
}
