// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// The limits that kube-controller-manager has by default for each of its controllers.
const (
	requestInterval = time.Second / 20
	requestBurst    = 30
)

// requestLimit bounds the requests of a controller.
type requestLimit struct {
	world *World
	left  int       // requests allowed now
	since time.Time // when the last one was added to them
}

func newRequestLimit(world *World) *requestLimit {
	return &requestLimit{world: world, left: requestBurst, since: world.clock.Now()}
}

// refill adds the requests of the time since the last call. In a random world, other objects of the cluster may have
// used up all of them.
func (l *requestLimit) refill() {
	elapsed := l.world.clock.Since(l.since).Truncate(requestInterval)
	if elapsed == 0 {
		return
	}
	l.since = l.since.Add(elapsed)
	l.left = min(l.left+int(elapsed/requestInterval), requestBurst)
	if l.world.chance(foreignRequests) {
		l.left = 0
	}
}

// allows reports whether a request is allowed now.
func (l *requestLimit) allows() bool {
	l.refill()
	return l.left > 0
}

// next returns when the next request is added.
func (l *requestLimit) next() time.Time { return l.since.Add(requestInterval) }

// take uses one request.
func (l *requestLimit) take() { l.left-- }
