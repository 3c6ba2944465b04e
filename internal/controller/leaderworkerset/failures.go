// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// failures remembers what stood in the way of each set and group when it was last worked on, so that the set's status can tell. It
// is lost with the operator, and learned again: what failed is tried again.
type failures struct {
	mutex sync.Mutex
	bySet map[types.NamespacedName]map[int32]snapshot.Failure
}

func newFailures() *failures {
	return &failures{bySet: map[types.NamespacedName]map[int32]snapshot.Failure{}}
}

// note remembers the failure of a group, or nil for none any more. changed says whether that is news.
func (f *failures) note(set types.NamespacedName, group int32, failure *snapshot.Failure) (changed bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	known, had := f.bySet[set][group]
	switch {
	case failure == nil:
		delete(f.bySet[set], group)
		if len(f.bySet[set]) == 0 {
			delete(f.bySet, set)
		}
		return had
	case f.bySet[set] == nil:
		f.bySet[set] = map[int32]snapshot.Failure{}
	}
	f.bySet[set][group] = *failure
	return !had || known != *failure
}

// of are the failures of a set, in the order of its groups.
func (f *failures) of(set types.NamespacedName) []snapshot.Failure {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.SortedFunc(maps.Values(f.bySet[set]), func(a, b snapshot.Failure) int { return cmp.Compare(a.Group, b.Group) })
}

// forget drops what is known of a set that is gone.
func (f *failures) forget(set types.NamespacedName) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	delete(f.bySet, set)
}
