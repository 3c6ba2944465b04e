// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

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
	incarnations map[int32]restart.Incarnation  // stored by passes over groups
	counts       map[int32]snapshot.WorkerCount // stored by passes over groups
	faults       map[int32]snapshot.Faults      // stored by passes over groups; read-only
	refused      map[int32]string               // stored by passes over groups
	workers      map[int32]refusal.Memory       // stored by passes over groups
	pods         map[int32]int                  // stored by passes over groups
	freedAt      time.Time                      // stored by passes over groups
	obstacles    map[int32]status.Obstacle      // stored by both, each for itself

	failedLeaders map[int32]restart.FailedLeader // stored by the watch

	// The rest is stored by passes over the set.
	observed        bool
	leaders         restart.Leaders
	record          restart.StoredRecord // read-only
	recordedAt      time.Time
	statusWrittenAt time.Time
	missing         refusal.Memory
	holds           release.Holds
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
	byGroup := func(a, b status.Obstacle) int { return cmp.Compare(a.Group, b.Group) }
	return plan.Memory{
		Incarnations:    maps.Clone(known.incarnations),
		WorkerCounts:    maps.Clone(known.counts),
		Faults:          maps.Clone(known.faults),
		RefusedWorkers:  maps.Clone(known.refused),
		FreedAt:         known.freedAt,
		Unknown:         !known.observed,
		Missing:         known.missing,
		Holds:           known.holds,
		FailedLeaders:   maps.Clone(known.failedLeaders),
		Leaders:         known.leaders,
		Record:          known.record,
		RecordedAt:      known.recordedAt,
		StatusWrittenAt: known.statusWrittenAt,
		Obstacles:       slices.SortedFunc(maps.Values(known.obstacles), byGroup),
	}
}

// storeSet stores what a pass over a set found and did. obstacle is what was in its way, nil for nothing. changed
// reports whether that is another one than before.
func (m *memories) storeSet(set types.NamespacedName, next *plan.Memory, obstacle *status.Obstacle) (changed bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.known(set)
	known.observed = true
	known.leaders, known.record = next.Leaders, next.Record
	known.recordedAt, known.statusWrittenAt = next.RecordedAt, next.StatusWrittenAt
	known.missing, known.holds = next.Missing, next.Holds
	return known.storeObstacle(status.WholeSet, obstacle)
}

// groupMemory is what is remembered of one group, for a pass over it.
type groupMemory struct {
	incarnation restart.Incarnation
	record      restart.StoredRecord // of its set
	workers     refusal.Memory
	freedAt     time.Time // when a pod of its set was last deleted
}

// ofGroup returns what is remembered of a group.
func (m *memories) ofGroup(set types.NamespacedName, group int32) groupMemory {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if known := m.bySet[set]; known != nil {
		return groupMemory{
			incarnation: known.incarnations[group], record: known.record,
			workers: known.workers[group], freedAt: known.freedAt,
		}
	}
	return groupMemory{}
}

// groupOutcome is what a pass over a group observed.
type groupOutcome struct {
	incarnation restart.Incarnation
	count       snapshot.WorkerCount
	faults      snapshot.Faults  // what keeps pods from being ready
	refused     string           // what the API server said of missing workers; empty if it refuses none
	workers     refusal.Memory   // of missing workers
	pods        int              // how many pods of the group exist
	obstacle    *status.Obstacle // nil if nothing is in the way
}

// storeGroup stores what a pass over a group observed. changed reports whether the set has to act on it: the group's
// incarnation was completed, has ended, or has failed, other workers are ready, something else is in the way, other pods
// have faults, or a pod has made room for missing leaders.
func (m *memories) storeGroup(
	set types.NamespacedName, group int32, next groupOutcome, now time.Time,
) (changed bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.known(set)
	before, faultsBefore, wasRefused := known.incarnations[group], known.faults[group], known.refused[group]
	freed := next.pods < known.pods[group]
	if freed {
		known.freedAt = now
	}
	store(known.pods, group, next.pods, next.pods > 0)
	store(known.refused, group, next.refused, next.refused != "")
	store(known.workers, group, next.workers, len(next.workers.Gaps) > 0)
	store(known.incarnations, group, next.incarnation, next.incarnation.Leader != "")
	countChanged := known.counts[group] != next.count
	store(known.counts, group, next.count, next.count.Leader != "")
	store(known.faults, group, next.faults, next.faults.Leader != "")
	obstacleChanged := known.storeObstacle(group, next.obstacle)
	remembered := len(known.incarnations) + len(known.counts) + len(known.faults) +
		len(known.obstacles) + len(known.failedLeaders)
	if remembered == 0 && !known.observed {
		delete(m.bySet, set) // A group was left of a set that was deleted.
	}
	return obstacleChanged || countChanged || !faultsBefore.Equal(next.faults) || wasRefused != next.refused ||
		(freed && len(known.missing.Gaps) > 0) ||
		before.Fingerprint != next.incarnation.Fingerprint || before.Failure != next.incarnation.Failure
}

// storeFailedLeader stores the last leader of a group that failed.
func (m *memories) storeFailedLeader(set types.NamespacedName, group int32, failed restart.FailedLeader) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known := m.known(set)
	incarnation, before := known.incarnations[group], known.failedLeaders[group]
	failed.Complete = (incarnation.Leader == failed.UID && incarnation.Complete()) ||
		(before.UID == failed.UID && before.Complete)
	known.failedLeaders[group] = failed
}

// store stores a group's value, or deletes it if there is none.
func store[T any](values map[int32]T, group int32, value T, exists bool) {
	if exists {
		values[group] = value
	} else {
		delete(values, group)
	}
}

// forget drops what is remembered of a deleted set.
func (m *memories) forget(set types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.bySet, set)
}

// known returns what is remembered of a set, to be changed.
func (m *memories) known(set types.NamespacedName) *setMemory {
	if m.bySet[set] == nil {
		m.bySet[set] = &setMemory{
			incarnations:  map[int32]restart.Incarnation{},
			counts:        map[int32]snapshot.WorkerCount{},
			faults:        map[int32]snapshot.Faults{},
			refused:       map[int32]string{},
			workers:       map[int32]refusal.Memory{},
			pods:          map[int32]int{},
			obstacles:     map[int32]status.Obstacle{},
			failedLeaders: map[int32]restart.FailedLeader{},
		}
	}
	return m.bySet[set]
}

// storeObstacle stores what is in the way of a group, or of the set; nil for nothing.
func (s *setMemory) storeObstacle(group int32, obstacle *status.Obstacle) (changed bool) {
	before, had := s.obstacles[group]
	if obstacle == nil {
		delete(s.obstacles, group)
		return had
	}
	s.obstacles[group] = *obstacle
	return !had || before != *obstacle
}
