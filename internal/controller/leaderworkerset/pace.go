// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// setPace delays passes over sets so that they begin at most once per batch delay. An event after a rest only waits for
// minimum. With a batch delay of 90 ms, an event that comes 60 ms after the begin of the last pass waits for 30 ms. The
// first events of a set wait for the whole delay: the cache is being filled. setPace is safe for concurrent use.
type setPace struct {
	batch BatchOptions
	clock clock.PassiveClock

	mutex sync.Mutex
	begun map[types.NamespacedName]time.Time // when the last pass over each set began
}

func newSetPace(options *Options) *setPace {
	return &setPace{batch: options.Batch, clock: options.Clock, begun: map[types.NamespacedName]time.Time{}}
}

// begin remembers that a pass over the set begins.
func (p *setPace) begin(set types.NamespacedName) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.begun[set] = p.clock.Now()
}

// forget drops what is remembered of a set that no longer exists.
func (p *setPace) forget(set types.NamespacedName) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.begun, set)
}

// lastOf returns when the last pass over a set began, if one did.
func (p *setPace) lastOf(lws *leaderworkersetv1.LeaderWorkerSet) (begun time.Time, ok bool) {
	if lws == nil {
		return time.Time{}, false
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	begun, ok = p.begun[client.ObjectKeyFromObject(lws)]
	return begun, ok
}

// For returns how long an event of a set waits. The set is nil if it no longer exists.
func (p *setPace) For(lws *leaderworkersetv1.LeaderWorkerSet) time.Duration {
	delay := p.batch.For(lws)
	begun, ok := p.lastOf(lws)
	if !ok {
		return delay
	}
	return min(delay, max(p.batch.MinDelay, delay-p.clock.Since(begun)))
}
