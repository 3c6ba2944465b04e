// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"maps"
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// queue is a controller's work queue, by the world's clock. Each request is in it once, with the earliest time at which
// it was asked for.
type queue struct {
	// A method that isn't overridden would panic. None is called.
	workqueue.TypedRateLimitingInterface[reconcile.Request]

	clock   clock.PassiveClock
	limiter workqueue.TypedRateLimiter[reconcile.Request]
	due     map[reconcile.Request]time.Time
}

// Add enqueues a request now.
func (q *queue) Add(request reconcile.Request) { q.AddAfter(request, 0) }

// AddAfter enqueues a request after a delay.
func (q *queue) AddAfter(request reconcile.Request, delay time.Duration) {
	q.due[request] = earlier(q.due[request], q.clock.Now().Add(delay))
}

// AddRateLimited enqueues another attempt after a delay that grows with each failure.
func (q *queue) AddRateLimited(request reconcile.Request) {
	q.AddAfter(request, q.limiter.When(request))
}

// Forget resets the delay after an attempt that succeeded.
func (q *queue) Forget(request reconcile.Request) { q.limiter.Forget(request) }

// ready returns the requests that are due, in a fixed order.
func (q *queue) ready() []reconcile.Request {
	now := q.clock.Now()
	var ready []reconcile.Request
	for _, request := range slices.SortedFunc(maps.Keys(q.due), func(a, b reconcile.Request) int {
		return compareKeys(a.NamespacedName, b.NamespacedName)
	}) {
		if !q.due[request].After(now) {
			ready = append(ready, request)
		}
	}
	return ready
}

// next returns when the next request is due; the zero time if the queue is empty.
func (q *queue) next() time.Time { return earliest(q.due) }
