// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// setQueue is a source of passes over sets: passes over groups enqueue the sets that have to act on their results. It
// is safe for concurrent use.
type setQueue struct {
	batch BatchOptions

	mutex   sync.Mutex
	queue   workQueue                           // nil before Start
	pending map[reconcile.Request]time.Duration // delays of requests from before Start
}

var _ source.Source = &setQueue{}

func newSetQueue(batch BatchOptions) *setQueue {
	return &setQueue{batch: batch, pending: map[reconcile.Request]time.Duration{}}
}

// Start implements [source.Source]. The group controller may run before the set controller starts its sources: Start
// adds the sets that were enqueued until then.
func (q *setQueue) Start(_ context.Context, queue workQueue) error {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.queue = queue
	for request, delay := range q.pending {
		queue.AddAfter(request, delay)
	}
	clear(q.pending)
	return nil
}

// Enqueue adds a set to the queue after its batch delay. It never blocks.
func (q *setQueue) Enqueue(set *leaderworkersetv1.LeaderWorkerSet) {
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(set)}
	delay := q.batch.For(set)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.queue == nil {
		q.pending[request] = delay
		return
	}
	q.queue.AddAfter(request, delay)
}

// String names the source in the log of its controller.
func (q *setQueue) String() string { return "sets enqueued by passes over groups" }
