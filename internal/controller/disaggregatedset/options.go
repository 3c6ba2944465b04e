// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"time"

	"k8s.io/utils/clock"

	lwsadmission "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
)

// Options are the tunables of the reconciler of DisaggregatedSets. [DefaultOptions] returns the defaults.
type Options struct {
	// Concurrent is the number of sets reconciled at a time.
	Concurrent int

	// MinRetryDelay is the delay after the first failure of a pass. The delay doubles with each further failure.
	MinRetryDelay time.Duration

	// MaxRetryDelay bounds the delay between attempts at a pass that fails.
	MaxRetryDelay time.Duration

	// StaleRetryDelay is the time that the cache gets to catch up after a pass that met a conflict.
	StaleRetryDelay time.Duration

	// BatchDelay is the time that a change of a child waits for further ones.
	BatchDelay time.Duration

	// ServedInterval is the time between two looks whether the API server serves DisaggregatedSets. Without their
	// CustomResourceDefinitions, these looks are all that DisaggregatedSets cost.
	ServedInterval time.Duration

	// Admission shapes the webhooks: those of LeaderWorkerSets validate roles.
	Admission lwsadmission.Options

	// Meter takes what metrics count. It is never nil.
	Meter Meter

	// Clock tells the time to passes. It is never nil.
	Clock clock.PassiveClock
}

// DefaultOptions returns the options of an operator in production.
func DefaultOptions() Options {
	return Options{
		Concurrent:      5,
		MinRetryDelay:   5 * time.Millisecond, // controller-runtime's default
		MaxRetryDelay:   30 * time.Second,
		StaleRetryDelay: 100 * time.Millisecond,
		BatchDelay:      20 * time.Millisecond,
		ServedInterval:  15 * time.Second,
		Admission:       lwsadmission.DefaultOptions(),
		Meter:           noMeter{},
		Clock:           clock.RealClock{},
	}
}
