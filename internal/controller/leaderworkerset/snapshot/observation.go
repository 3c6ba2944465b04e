// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Observation is what a pass over a group observed of the incarnation of one leader. Passes over the set read it: they
// don't look at workers.
type Observation struct {
	// Leader is the UID of the leader pod; empty if there was none.
	Leader types.UID

	// ReadyWorkers is how many workers are ready, 0 to size-1.
	ReadyWorkers int32

	// Faults are what keeps pods from being ready, in the order of faultOrder. None of a terminating leader.
	Faults []Fault

	// WaitsForRoomSince is since when no node can take a pod, or another controller's scheduling gate holds one; zero if
	// no pod waits for room.
	WaitsForRoomSince time.Time

	// RefusedWorkers is what the API server said of missing workers; empty if it refuses none.
	RefusedWorkers string

	// Unconfirmed says that the API server has refused a worker that doesn't count as refused yet.
	Unconfirmed bool
}

// Observation returns what a pass over the group observes. refusedWorkers is what the API server said of missing
// workers; empty if it refuses none.
func (m *GroupMembers) Observation(refusedWorkers string) Observation {
	if m.Leader == nil {
		return Observation{}
	}
	observed := Observation{Leader: m.Leader.UID, Faults: m.Faults(), RefusedWorkers: refusedWorkers}
	for worker, pod := range m.Members() {
		if pod.DeletionTimestamp == nil {
			observed.WaitsForRoomSince = earlier(observed.WaitsForRoomSince, waitsForRoomSince(pod))
		}
		if worker > 0 && pod.DeletionTimestamp == nil && PodReady(pod) {
			observed.ReadyWorkers++
		}
	}
	return observed
}

// Equal reports whether two passes observed the same.
func (o Observation) Equal(other Observation) bool {
	return o.Leader == other.Leader && o.ReadyWorkers == other.ReadyWorkers &&
		o.WaitsForRoomSince.Equal(other.WaitsForRoomSince) &&
		o.RefusedWorkers == other.RefusedWorkers && o.Unconfirmed == other.Unconfirmed &&
		slices.EqualFunc(o.Faults, other.Faults, Fault.equal)
}

// AddObservations gives each group the observation of its present leader, if there is one. observations are those of
// the last passes over the groups, by index.
func (s *Set) AddObservations(observations map[int32]Observation) {
	for i := range s.Groups {
		group := &s.Groups[i]
		if observed, ok := observations[group.Index]; ok && observed.Leader == group.Leader.UID {
			group.Observed = &observed
		}
	}
}
