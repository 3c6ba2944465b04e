// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package disaggregatedset has the reconciler and the webhooks of DisaggregatedSets. Its shape is that of package
// leaderworkerset: observe, plan, apply. Its children are LeaderWorkerSets; pods are theirs.
//
//	setup.go       adds the webhooks, and the reconciler once the API server serves DisaggregatedSets
//	controller.go  one pass over a set
//	observe.go     the only reader
//	meter.go       what metrics count
//	memory.go      what the process remembers from one pass to the next
//
// Pure packages, values in and values out:
//
//	identity/      names
//	snapshot/      what one pass looks at
//	revision/      the revision of the spec: by meaning, or by hash
//	rollout/       the arithmetic of a rollout: all roles move by the same fraction
//	desired/       the child objects as the spec asks for them
//	plan/          the writes of one pass, slice by slice
//	status/        the status and its events
//
// Package admission serves the webhooks.
package disaggregatedset
