// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestSetPace compares how long events wait after the begin of a pass. The batch delay is 90 ms.
func TestSetPace(t *testing.T) {
	options := DefaultOptions()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0))
	options.Clock = clock
	pace, lws := newSetPace(&options), setOfSize(100, 4)
	expect := func(what string, want time.Duration) {
		t.Helper()
		if got := pace.For(lws); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	expect("before the first pass", 90*time.Millisecond)
	begun := clock.Now()
	pace.begin(client.ObjectKeyFromObject(lws))
	for _, c := range []struct{ after, want time.Duration }{
		{0, 90 * time.Millisecond},
		{60 * time.Millisecond, 30 * time.Millisecond},
		{85 * time.Millisecond, 10 * time.Millisecond},
		{time.Hour, 10 * time.Millisecond},
	} {
		clock.SetTime(begun.Add(c.after))
		expect(c.after.String()+" after a pass began", c.want)
	}
	pace.forget(client.ObjectKeyFromObject(lws))
	expect("of a set that is new", 90*time.Millisecond)
	if got := pace.For(nil); got != options.Batch.MaxDelay {
		t.Errorf("of a set that no longer exists: %v, want %v", got, options.Batch.MaxDelay)
	}
}
