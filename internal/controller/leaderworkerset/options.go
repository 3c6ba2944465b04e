// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// Options are the tunables of the reconcilers of LeaderWorkerSets. [DefaultOptions] returns the defaults.
type Options struct {
	// ConcurrentSets is the number of sets reconciled at a time. A pass over a set is short.
	ConcurrentSets int

	// ConcurrentGroups is the number of groups reconciled at a time. A pass over a group mostly waits for the API
	// server.
	ConcurrentGroups int

	// ConcurrentDeletions is the number of deletions that one pass makes at a time. A pass over a group may delete all
	// its pods, which stop together only if their deletions do not wait for each other. A pass over a set may delete the
	// leaders of all its groups.
	ConcurrentDeletions int

	// MinRetryDelay is the delay after the first failure of a pass. The delay doubles with each further failure.
	MinRetryDelay time.Duration

	// MaxRetryDelay bounds the delay between attempts at a pass that fails.
	MaxRetryDelay time.Duration

	// StaleRetryDelay is the time that the cache gets to catch up after a pass that met a conflict.
	StaleRetryDelay time.Duration

	// UnwatchedRetryDelay is the time between passes over a group that is blocked by something the operator does not
	// watch. An example is a node without the label that exclusive placement asks for.
	UnwatchedRetryDelay time.Duration

	// Batch bounds the time that events wait for further ones.
	Batch BatchOptions

	// Plan shapes the plans of passes over sets.
	Plan plan.Options

	// Scheduling shapes gang scheduling.
	Scheduling SchedulingOptions

	// Admission shapes the webhooks.
	Admission admission.Options

	// Meter takes what metrics count. It is never nil.
	Meter Meter

	// Clock tells the time to passes. It is never nil.
	Clock clock.PassiveClock
}

// SchedulingOptions shape gang scheduling.
type SchedulingOptions struct {
	// Provider is what schedules the pods of a group together; empty for none.
	Provider scheduling.Provider

	// Namespaces are those whose PodGroups the operator reads; all if there are none.
	Namespaces []string
}

// BatchOptions bound the batch delay: the time that an event waits, so that one pass handles it and those that follow.
// The delay grows with the set: a pass over a set costs O(groups), and a pass over a group costs O(size). Both start at
// most once per batch delay. So the cost of a time in which everything changes does not grow faster than the set.
type BatchOptions struct {
	// MinDelay is the batch delay of a set without pods.
	MinDelay time.Duration

	// DelayPerPod is added for each pod that the spec of the set asks for.
	DelayPerPod time.Duration

	// MaxDelay is the longest batch delay. It is also that of sets that no longer exist.
	MaxDelay time.Duration
}

// DefaultOptions returns the options of an operator in production.
func DefaultOptions() Options {
	return Options{
		ConcurrentSets:      5,
		ConcurrentGroups:    20,
		ConcurrentDeletions: 64,
		MinRetryDelay:       5 * time.Millisecond, // controller-runtime's default
		MaxRetryDelay:       30 * time.Second,
		StaleRetryDelay:     100 * time.Millisecond,
		UnwatchedRetryDelay: 15 * time.Second,
		// 20 groups of 4 wait 26 ms, and 100 groups of 4 wait 90 ms. From 613 groups of 4 on, the delay is 500 ms.
		Batch: BatchOptions{
			MinDelay:    10 * time.Millisecond,
			DelayPerPod: 200 * time.Microsecond,
			MaxDelay:    500 * time.Millisecond,
		},
		Plan:      plan.DefaultOptions(),
		Admission: admission.DefaultOptions(),
		Meter:     noMeter{},
		Clock:     clock.RealClock{},
	}
}

// For returns the batch delay of a set.
func (o BatchOptions) For(lws *leaderworkersetv1.LeaderWorkerSet) time.Duration {
	groups := float64(ptr.Deref(lws.Spec.Replicas, 1))
	size := float64(ptr.Deref(lws.Spec.LeaderWorkerTemplate.Size, 1))
	delay := float64(o.MinDelay) + float64(o.DelayPerPod)*groups*size // Floats, since integers would overflow.
	return time.Duration(min(delay, float64(o.MaxDelay)))
}
