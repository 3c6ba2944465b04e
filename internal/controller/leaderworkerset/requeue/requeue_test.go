// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package requeue_test

import (
	"testing"
	"time"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/requeue"
)

func TestEarliest(t *testing.T) {
	for _, tc := range []struct {
		delays []time.Duration
		want   time.Duration
	}{
		{nil, 0},
		{[]time.Duration{0, 0}, 0},
		{[]time.Duration{0, 3, 0, 2, 4}, 2},
	} {
		if got := requeue.Earliest(tc.delays...); got != tc.want {
			t.Errorf("earliest of %v is %d, want %d", tc.delays, got, tc.want)
		}
	}
}
