// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package identity knows the names of everything that a DisaggregatedSet consists of, and reads them back. It is a
// leaf: pure functions over strings and numbers.
package identity

import (
	"strings"

	lwsidentity "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// RevisionLength is the length of a revision's key.
const RevisionLength = 8

// Child returns the name of the LeaderWorkerSet of a role.
func Child(set string, slice int32, revision, role string) string {
	return strings.Join([]string{set, lwsidentity.FormatIndex(slice), revision, role}, "-")
}

// ChildWithoutSlice returns the name that other controllers gave to the LeaderWorkerSet of a role before there were
// slices. It belongs to slice 0.
func ChildWithoutSlice(set, revision, role string) string {
	return strings.Join([]string{set, revision, role}, "-")
}

// App returns the value of the label app.
func App(set string, slice int32, role string) string {
	return strings.Join([]string{set, lwsidentity.FormatIndex(slice), role}, "-")
}

// Scaler returns the name of the scaler of a role.
func Scaler(set, role string) string { return set + "-" + role }

// serviceSuffix ends the names of Services that other controllers created for the LeaderWorkerSets of roles.
const serviceSuffix = "-prv"

// IsLeftOverService reports whether a Service has the name that other controllers gave to the Service of one of the
// set's LeaderWorkerSets.
func IsLeftOverService(set, name string) bool {
	return strings.HasPrefix(name, set+"-") && strings.HasSuffix(name, serviceSuffix)
}

// MaxSetName returns how many characters the name of a set may have, so that its LeaderWorkerSet of a role has a name
// of at most childLimit. slices is the number of slices.
func MaxSetName(childLimit int, slices int32, role string) int {
	return childLimit - len(Child("", max(slices, 1)-1, strings.Repeat("0", RevisionLength), role))
}
