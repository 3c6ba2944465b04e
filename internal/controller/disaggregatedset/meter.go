// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
)

// Meter takes what the metrics of sets count. Passes over different sets call it at the same time.
type Meter interface {
	// Cached records that the cache has all DisaggregatedSets and scalers. Before, a read of them would wait.
	Cached()

	// RolledOut records the duration of a rollout that has ended.
	RolledOut(set types.NamespacedName, took time.Duration)

	// Forget drops what was counted of a deleted set.
	Forget(set types.NamespacedName)

	// Refused takes a write that the API server refused. resource is the plural of the object's kind, in lower case.
	Refused(resource string, verb apply.Verb, reason string)
}

// noMeter counts nothing.
type noMeter struct{}

// Cached implements [Meter].
func (noMeter) Cached() {}

// RolledOut implements [Meter].
func (noMeter) RolledOut(types.NamespacedName, time.Duration) {}

// Forget implements [Meter].
func (noMeter) Forget(types.NamespacedName) {}

// Refused implements [Meter].
func (noMeter) Refused(string, apply.Verb, string) {}
