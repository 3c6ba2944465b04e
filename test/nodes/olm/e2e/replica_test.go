// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/test/nodes/olm/refusal"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// endMargin is how long after the deletion of a replica's pod a call can still go to it. kube-proxy writes its rules at
// most once a second, and an API server without kube-proxy is faster. The new endpoints are known by then: they lose
// the replica at its deletion mark, and the pod takes about another second to end.
const endMargin = time.Second

// ending is the time in which one replica of the operator ends: from the deletion mark of its pod until the pod's
// deletion.
type ending struct {
	image string
	refusal.Span
}

// isReplica reports whether a pod is a replica of the operator.
func isReplica(pod *corev1.Pod) bool {
	return pod.Namespace == operator.Namespace && pod.Labels["control-plane"] == "controller-manager"
}

// phase returns the phase of a replica for the timeline.
func phase(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "terminating"
	case objects.PodReady(pod):
		return "ready"
	default:
		return "not ready"
	}
}

// noteEnding records that a replica is terminating, or deleted, at that time.
func (l *timeline) noteEnding(pod *corev1.Pod, at time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.endings[pod.Name] == nil {
		l.endings[pod.Name] = &ending{image: pod.Spec.Containers[0].Image, Span: refusal.Span{Start: markedAt(pod, at)}}
	}
	l.endings[pod.Name].End = at
}

// markedAt returns the time of a pod's deletion mark, rounded down to a second. The watch can report the mark after the
// replica has ended, so the time of the report is used only if it is earlier or there is no mark.
func markedAt(pod *corev1.Pod, reported time.Time) time.Time {
	if pod.DeletionTimestamp == nil {
		return reported
	}
	grace := time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0)) * time.Second
	if marked := pod.DeletionTimestamp.Add(-grace); marked.Before(reported) {
		return marked
	}
	return reported
}

// ends returns the times in which calls can go to a replica of a version that ends or has just ended.
func (l *timeline) ends(version string) []refusal.Span {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var spans []refusal.Span
	for _, replica := range l.endings {
		if strings.HasSuffix(replica.image, ":v"+version) {
			spans = append(spans, refusal.Span{Start: replica.Start, End: replica.End.Add(endMargin)})
		}
	}
	return spans
}
