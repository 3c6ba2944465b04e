// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
)

// memories are what this process remembers of all sets. A pass fetches its part once before it plans, and stores its
// part once after.
type memories struct {
	mutex sync.Mutex
	bySet map[types.NamespacedName]remembered
}

// remembered is what is remembered of one set.
type remembered struct {
	// uid is that of the set.
	uid types.UID

	// obstacle is what was in the way of the last pass; nil for nothing.
	obstacle *status.Obstacle

	// current says that the cache shows all that the operator has written, see [plan.Memory].
	current bool

	// noServices says that the set has no Services of other controllers left.
	noServices bool
}

func newMemories() *memories { return &memories{bySet: map[types.NamespacedName]remembered{}} }

// of returns what is remembered of a set. Nothing is remembered of another set that had its name. An operator that has
// just started takes the obstacle from the status, until a pass finds out.
func (m *memories) of(set types.NamespacedName, dset *disaggregatedsetv1.DisaggregatedSet) remembered {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if known := m.bySet[set]; known.uid == dset.UID {
		return known
	}
	return remembered{uid: dset.UID, obstacle: status.Reported(dset.Status.Conditions)}
}

// store stores what a pass over a set found.
func (m *memories) store(set types.NamespacedName, next remembered) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.bySet[set] = next
}

// forget drops what is remembered of a deleted set.
func (m *memories) forget(set types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.bySet, set)
}

// plan returns what a plan may know.
func (r *remembered) plan() *plan.Memory {
	return &plan.Memory{Obstacle: r.obstacle, Current: r.current}
}
