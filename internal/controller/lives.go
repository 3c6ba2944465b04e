// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/snapshot"
)

// lives holds what passes saw of the lives of groups, for the passes over their sets. The part that has to outlive the process is
// remembered in the cluster, see the record package.
type lives struct {
	mutex    sync.Mutex
	bySet    map[types.NamespacedName]map[int32]snapshot.Life
	leaders  map[types.NamespacedName]map[int32]snapshot.SeenLeader
	recordAt map[types.NamespacedName]time.Time
}

func newLives() *lives {
	return &lives{
		bySet:    map[types.NamespacedName]map[int32]snapshot.Life{},
		leaders:  map[types.NamespacedName]map[int32]snapshot.SeenLeader{},
		recordAt: map[types.NamespacedName]time.Time{},
	}
}

// get is what is known of a group's life.
func (l *lives) get(set types.NamespacedName, group int32) snapshot.Life {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.bySet[set][group]
}

// put takes note of a group's life. news says whether its set has to act on it: it was completed, ended, or has failed.
func (l *lives) put(set types.NamespacedName, group int32, life snapshot.Life) (news bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	before := l.bySet[set][group]
	if l.bySet[set] == nil {
		l.bySet[set] = map[int32]snapshot.Life{}
	}
	l.bySet[set][group] = life
	if life.Leader == "" {
		delete(l.bySet[set], group)
	}
	return before.Fingerprint() != life.Fingerprint() || before.Failure != life.Failure
}

// of are the lives of a set's groups, by index.
func (l *lives) of(set types.NamespacedName) map[int32]snapshot.Life {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return maps.Clone(l.bySet[set])
}

// forget drops what is known of a set that is gone.
func (l *lives) forget(set types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.bySet, set)
	delete(l.leaders, set)
	delete(l.recordAt, set)
}

// seen are the leaders that the last pass over a set saw.
func (l *lives) seen(set types.NamespacedName) map[int32]snapshot.SeenLeader {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.leaders[set]
}

// setSeen takes note of the leaders that a pass over a set saw. They are read-only from then on.
func (l *lives) setSeen(set types.NamespacedName, leaders map[int32]snapshot.SeenLeader) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.leaders[set] = leaders
}

// recorded is when the lives of a set's groups were last written down; zero if they weren't.
func (l *lives) recorded(set types.NamespacedName) time.Time {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.recordAt[set]
}

// setRecorded takes note that the lives of a set's groups were written down.
func (l *lives) setRecorded(set types.NamespacedName, at time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.recordAt[set] = at
}
