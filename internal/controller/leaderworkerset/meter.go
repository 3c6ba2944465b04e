// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
)

// Meter takes what the metrics of sets count. Passes over different sets call it at the same time.
type Meter interface {
	// Count takes what a pass over a set adds.
	Count(set types.NamespacedName, counts *measure.Counts)

	// Forget drops what was counted of a deleted set.
	Forget(set types.NamespacedName)

	// Refused takes a write that the API server refused. resource is the plural of the object's kind, in lower case.
	Refused(resource string, verb apply.Verb, reason string)
}

// noMeter counts nothing.
type noMeter struct{}

// Count implements [Meter].
func (noMeter) Count(types.NamespacedName, *measure.Counts) {}

// Forget implements [Meter].
func (noMeter) Forget(types.NamespacedName) {}

// Refused implements [Meter].
func (noMeter) Refused(string, apply.Verb, string) {}
