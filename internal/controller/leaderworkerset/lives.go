// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/record"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// lives holds what passes saw of the lives of groups, for the passes over their sets, and when those last wrote something down. The part
// that has to outlive the process is remembered in the cluster, see the record package.
type lives struct {
	mutex sync.Mutex
	bySet map[types.NamespacedName]*setLives
}

// setLives is what is known of one set.
type setLives struct {
	groups map[int32]snapshot.Life
	seen   map[int32]snapshot.SeenLeader // by the last pass over the set

	recorded, told time.Time // when lives and the status were last written; zero if they weren't

	record     string // what was last read of the cluster's memory
	remembered record.Groups
}

func newLives() *lives {
	return &lives{bySet: map[types.NamespacedName]*setLives{}}
}

// change changes what is known of a set.
func (l *lives) change(set types.NamespacedName, change func(*setLives)) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	known := l.bySet[set]
	if known == nil {
		known = &setLives{groups: map[int32]snapshot.Life{}}
		l.bySet[set] = known
	}
	change(known)
}

// get is what is known of a group's life.
func (l *lives) get(set types.NamespacedName, group int32) snapshot.Life {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if known := l.bySet[set]; known != nil {
		return known.groups[group]
	}
	return snapshot.Life{}
}

// put takes note of a group's life. news says whether its set has to act on it: it was completed, ended, or has failed.
func (l *lives) put(set types.NamespacedName, group int32, life snapshot.Life) (news bool) {
	l.change(set, func(known *setLives) {
		before := known.groups[group]
		known.groups[group] = life
		if life.Leader == "" {
			delete(known.groups, group)
		}
		if len(known.groups) == 0 && known.seen == nil {
			delete(l.bySet, set) // A set that is gone, of which a group was left.
		}
		news = before.Fingerprint != life.Fingerprint || before.Failure != life.Failure
	})
	return news
}

// remembered reads the record of a set. It is long, and each pass over the set and each new leader asks for it: the same one isn't read
// twice. The result is read-only.
func (l *lives) remembered(set types.NamespacedName, text string) (groups record.Groups) {
	l.change(set, func(known *setLives) {
		if known.record != text {
			known.record, known.remembered = text, record.Parse(text)
		}
		groups = known.remembered
	})
	return groups
}

// observe adds what is known of a set to what was observed of it.
func (l *lives) observe(set types.NamespacedName, observed *snapshot.Set) {
	l.change(set, func(known *setLives) {
		observed.Lives, observed.Seen = maps.Clone(known.groups), known.seen
		observed.Recorded, observed.Told = known.recorded, known.told
	})
}

// setSeen takes note of the leaders that a pass over a set saw. They are read-only from then on.
func (l *lives) setSeen(set types.NamespacedName, leaders map[int32]snapshot.SeenLeader) {
	l.change(set, func(known *setLives) { known.seen = leaders })
}

// setRecorded takes note that the lives of a set's groups were written down.
func (l *lives) setRecorded(set types.NamespacedName, at time.Time) {
	l.change(set, func(known *setLives) { known.recorded = at })
}

// setTold takes note that a set's status was written.
func (l *lives) setTold(set types.NamespacedName, at time.Time) {
	l.change(set, func(known *setLives) { known.told = at })
}

// forget drops what is known of a set that is gone.
func (l *lives) forget(set types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.bySet, set)
}
