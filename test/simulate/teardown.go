// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// maxUnmarked bounds how long a pod may outlive its leader without being marked for deletion. Only the time counts in
// which the operator runs, its cache shows everything, and no pass is due.
const maxUnmarked = time.Second

// advance lets time pass. It fails if an idle operator waits for the garbage collector: the pods of a group are marked
// for deletion as soon as their leader is, whatever the size of the group.
func (w *World) advance(to time.Time) {
	w.t.Helper()
	elapsed := to.Sub(w.clock.Now())
	if w.operatorIsIdle() {
		for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
			incarnation := w.incarnations.byPod[pod.UID]
			if incarnation == nil || !incarnation.ended || pod.DeletionTimestamp != nil {
				continue
			}
			if incarnation.unmarked[pod.UID] += elapsed; incarnation.unmarked[pod.UID] > maxUnmarked {
				w.fail("pod %s isn't marked for deletion, although its leader was %s ago", pod.Name, incarnation.unmarked[pod.UID])
			}
		}
	}
	w.clock.SetTime(to)
}

// operatorIsIdle reports whether the operator knows everything and has no pass to make.
func (w *World) operatorIsIdle() bool {
	return w.run != nil && len(w.run.passes) == 0 && len(w.run.actions()) == 0 &&
		!slices.ContainsFunc(kinds, w.run.cache.behind)
}

// LimitGarbageCollector holds the garbage collector to the limits that kube-controller-manager has by default.
func (w *World) LimitGarbageCollector() { w.collector.limit = newRequestLimit(w) }
