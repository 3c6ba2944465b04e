// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Refusal is the latest report of the StatefulSet controller that it couldn't create a pod of a StatefulSet. The zero
// value is none.
type Refusal struct {
	// Event is the UID of the event that reports it, and Count how often that event has occurred.
	Event types.UID
	Count int32

	// At is the time of the report, in whole seconds, by the clock of kube-controller-manager.
	At time.Time

	// Message is what the API server said.
	Message string
}

// MissingPods is what a pass observes of the pods that a StatefulSet lacks. Zero if it lacks none.
type MissingPods struct {
	// Refusal is the latest refusal of a pod.
	Refusal Refusal

	// InTheWay is a pod of another owner that has the name of the lowest missing pod; nil if there is none, or if the
	// pass hasn't looked for it, as LookedForPod says.
	InTheWay     *metav1.PartialObjectMetadata
	LookedForPod bool
}

// LatestRefusal returns the latest of the events FailedCreate about a StatefulSet.
//
// The controller reports 25 events about an object, and then one in 5 minutes. So the latest event may be about another
// pod of the StatefulSet than the one that is refused now.
func LatestRefusal(events []*corev1.Event) Refusal {
	if len(events) == 0 {
		return Refusal{}
	}
	latest := slices.MaxFunc(events, func(a, b *corev1.Event) int {
		return cmp.Or(a.LastTimestamp.Compare(b.LastTimestamp.Time), cmp.Compare(a.Count, b.Count), cmp.Compare(a.UID, b.UID))
	})
	return Refusal{
		Event: latest.UID, Count: latest.Count, At: latest.LastTimestamp.Time, Message: refusalMessage(latest.Message),
	}
}

// IsAfter reports whether the report is another one than that of an earlier time, and isn't older.
func (r Refusal) IsAfter(earlier Refusal) bool {
	return r != (Refusal{}) && r != earlier && !r.At.Before(earlier.At)
}

// refusalMessage returns what the API server said: an event begins with "create Pod a-1 in StatefulSet a failed error".
func refusalMessage(event string) string {
	if _, said, ok := strings.Cut(event, " failed error: "); ok {
		return said
	}
	return event
}
