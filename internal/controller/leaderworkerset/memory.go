// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// memories are what this process remembers of all sets. A pass fetches its part once before it plans, and stores its
// part once after. Passes over a set and over its groups run at the same time: each stores only what it alone decides
// on.
type memories struct {
	mutex sync.Mutex
	bySet map[types.NamespacedName]*setMemory
}

// setMemory is what is remembered of one set.
type setMemory struct {
	groups  map[int32]groupMemory // by index, see forgetIfEmpty
	freedAt time.Time             // when a pod was last deleted; stored by passes over groups

	// The rest is stored by passes over the set.
	observed        bool
	obstacle        *status.Obstacle // nil if nothing is in the way
	leaders         restart.Leaders
	record          restart.StoredRecord // read-only
	recordedAt      time.Time
	statusWrittenAt time.Time
	missing         refusal.Memory
	holds           release.Holds
	measured        measure.Memory // read-only
}

// groupMemory is what is remembered of one group.
type groupMemory struct {
	groupOutcome                      // stored by passes over the group
	failedLeader restart.FailedLeader // stored by the watch
}

// groupOutcome is what came of a pass over a group.
type groupOutcome struct {
	incarnation restart.Incarnation
	observed    snapshot.Observation // read-only
	missing     refusal.Memory       // of missing workers
	pods        int                  // how many pods of the group exist
	obstacle    *status.Obstacle     // nil if nothing is in the way
}

func newMemories() *memories {
	return &memories{bySet: map[types.NamespacedName]*setMemory{}}
}

// ofSet returns what is remembered of a set, for a pass over it.
func (m *memories) ofSet(set types.NamespacedName) plan.Memory {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.bySet[set]
	if known == nil {
		return plan.Memory{Unknown: true}
	}
	memory := plan.Memory{
		Incarnations:    map[int32]restart.Incarnation{},
		Observations:    map[int32]snapshot.Observation{},
		FailedLeaders:   map[int32]restart.FailedLeader{},
		FreedAt:         known.freedAt,
		Unknown:         !known.observed,
		Missing:         known.missing,
		Holds:           known.holds,
		Measured:        known.measured,
		Leaders:         known.leaders,
		Record:          known.record,
		RecordedAt:      known.recordedAt,
		StatusWrittenAt: known.statusWrittenAt,
	}
	if known.obstacle != nil {
		memory.Obstacles = append(memory.Obstacles, *known.obstacle)
	}
	for _, index := range slices.Sorted(maps.Keys(known.groups)) {
		known.groups[index].addTo(&memory, index)
	}
	return memory
}

// addTo adds what is remembered of a group to what a pass over its set gets.
func (g groupMemory) addTo(memory *plan.Memory, index int32) {
	if g.incarnation.Leader != "" {
		memory.Incarnations[index] = g.incarnation
	}
	if g.observed.Leader != "" {
		memory.Observations[index] = g.observed
	}
	if g.failedLeader.UID != "" {
		memory.FailedLeaders[index] = g.failedLeader
	}
	if g.obstacle != nil {
		memory.Obstacles = append(memory.Obstacles, *g.obstacle)
	}
}

// storeSet stores what a pass over a set found and did. obstacle is what was in its way, nil for nothing. changed
// reports whether that is another one than before.
func (m *memories) storeSet(set types.NamespacedName, next *plan.Memory, obstacle *status.Obstacle) (changed bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.known(set)
	changed = !ptr.Equal(known.obstacle, obstacle)
	known.observed, known.obstacle = true, obstacle
	known.leaders, known.record = next.Leaders, next.Record
	known.recordedAt, known.statusWrittenAt = next.RecordedAt, next.StatusWrittenAt
	known.missing, known.holds, known.measured = next.Missing, next.Holds, next.Measured
	return changed
}

// ofGroup returns what came of the last pass over a group, the record of its set, and when a pod of its set was last
// deleted.
func (m *memories) ofGroup(
	set types.NamespacedName, group int32,
) (last groupOutcome, record restart.StoredRecord, freedAt time.Time) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if known := m.bySet[set]; known != nil {
		return known.groups[group].groupOutcome, known.record, known.freedAt
	}
	return groupOutcome{}, restart.StoredRecord{}, time.Time{}
}

// storeGroup stores what came of a pass over a group. changed reports whether the set has to act on it.
func (m *memories) storeGroup(
	set types.NamespacedName, group int32, next groupOutcome, now time.Time,
) (changed bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.known(set)
	memory := known.groups[group]
	freed := next.pods < memory.pods
	if freed {
		known.freedAt = now
	}
	changed = next.concernsSet(&memory.groupOutcome) || (freed && len(known.missing.Gaps) > 0)
	memory.groupOutcome = next
	known.groups[group] = memory
	m.forgetIfEmpty(set, group)
	return changed
}

// concernsSet reports whether the set has to act on what has changed since the pass before: the group's incarnation was
// completed, has ended, or has failed, other workers are ready or refused, other pods have faults, or something else is
// in the way.
func (o *groupOutcome) concernsSet(before *groupOutcome) bool {
	return before.incarnation.Fingerprint != o.incarnation.Fingerprint ||
		before.incarnation.Failure != o.incarnation.Failure ||
		!before.observed.Equal(o.observed) || !ptr.Equal(before.obstacle, o.obstacle)
}

// storeFailedLeader stores the last leader of a group that failed.
func (m *memories) storeFailedLeader(set types.NamespacedName, group int32, failed restart.FailedLeader) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.known(set)
	memory := known.groups[group]
	failed.Complete = (memory.incarnation.Leader == failed.UID && memory.incarnation.Complete()) ||
		(memory.failedLeader.UID == failed.UID && memory.failedLeader.Complete)
	memory.failedLeader = failed
	known.groups[group] = memory
}

// forget drops what is remembered of a deleted set.
func (m *memories) forget(set types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.bySet, set)
}

// forgetIfEmpty drops a group of which nothing is left to remember. It drops the set with its last group if no pass has
// observed the set: then the set was deleted before the group.
func (m *memories) forgetIfEmpty(set types.NamespacedName, group int32) {
	known := m.bySet[set]
	memory := known.groups[group]
	if memory.incarnation.Leader == "" && memory.observed.Leader == "" && memory.pods == 0 &&
		memory.obstacle == nil && memory.failedLeader.UID == "" {
		delete(known.groups, group)
	}
	if len(known.groups) == 0 && !known.observed {
		delete(m.bySet, set)
	}
}

// known returns what is remembered of a set, to be changed.
func (m *memories) known(set types.NamespacedName) *setMemory {
	if m.bySet[set] == nil {
		m.bySet[set] = &setMemory{groups: map[int32]groupMemory{}}
	}
	return m.bySet[set]
}
