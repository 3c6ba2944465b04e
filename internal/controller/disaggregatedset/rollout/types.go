// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package rollout is the arithmetic of a DisaggregatedSet's rollout: how many groups each child LeaderWorkerSet of one
// slice gets next. Integers only; it knows neither Kubernetes nor time.
package rollout

// NoBaseline is the InitialOld of a child that lacks the initial-replicas annotation.
const NoBaseline = -1

// Input is what one decision about one slice looks at.
type Input struct {
	// Roles are the roles of the spec, and those that only old revisions have. The order is the caller's.
	Roles []Role

	// New is the target revision. Its children may not exist yet.
	New Revision

	// Old are all other revisions that have a child, newest first.
	Old []Revision
}

// Role is one role of the spec, or one that only old revisions have.
type Role struct {
	// Name is for the decision's message.
	Name string

	// Target is how many groups the spec asks for. 0 for a role that the spec no longer has.
	Target int32

	// MaxSurge and MaxUnavailable are the budgets, percentages resolved. Without a rolling-update block, and for a role
	// that the spec no longer has, they are 1 and 0.
	MaxSurge, MaxUnavailable int32
}

// Revision is one revision of a slice.
type Revision struct {
	// Name is for the decision's message.
	Name string

	// Children are the child of each role, in the order of Input.Roles. A child that doesn't exist is Child{}.
	Children []Child
}

// Child is one child LeaderWorkerSet.
type Child struct {
	// Exists says that the child exists.
	Exists bool

	// InitialOld is the initial-replicas annotation, 0 or more, or NoBaseline. Of the target revision, it isn't read.
	InitialOld int32

	// Spec is spec.replicas. Replicas and Ready are status.replicas and status.readyReplicas.
	Spec, Replicas, Ready int32

	// Observed says that status.observedGeneration is metadata.generation. Otherwise Replicas and Ready aren't read.
	Observed bool

	// Terminating says that the child has a deletion timestamp. Such a child counts nothing.
	Terminating bool
}

// NoActive is the Active of a decision that has no old revision to drain.
const NoActive = -1

// Reason says what a decision does, or why it does nothing.
type Reason string

const (
	// Complete means that old revisions have no groups, and that the target revision has all groups, all ready.
	Complete Reason = "Complete"

	// Moving means that the decision changes the replicas of a child.
	Moving Reason = "Moving"

	// Bootstrap means that the decision gives one role another group, above the ceiling.
	Bootstrap Reason = "Bootstrap"

	// Waiting means that a group has yet to become ready or disappear, or that a child's status is of an older spec.
	Waiting Reason = "Waiting"

	// Blocked means that nothing may move and that nothing is under way: the budgets leave no step.
	Blocked Reason = "Blocked"
)

// Decision is the next step of one slice.
type Decision struct {
	// New are the replicas of the target revision's children, in the order of Input.Roles.
	New []int32

	// Old are the replicas of the old revisions' children, in the order of Input.Old and Input.Roles.
	Old [][]int32

	// Active is the index, in Input.Old, of the revision that this pass drains, or NoActive.
	Active int

	// Reason says what the decision does, or why it does nothing. Blocked is reported once and retried.
	Reason Reason

	// Message says the same in words, for conditions and events.
	Message string
}
