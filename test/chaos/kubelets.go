// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// nudgeInterval is how long a pod may stay in one state before it is nudged. It is longer than all delays of
	// simulation.yaml: a nudge makes kwok wait for the whole delay again.
	nudgeInterval = 4 * time.Second
	// nudged is an annotation of pods. Its value has no meaning.
	nudged = "chaos.lws-operator.dev/nudged"
)

// nudge changes pods that neither start nor stop, until the context is done. kwok drops most requests that fail, as
// while the API server is restarted, and looks at a pod again only when the pod changes. A kubelet looks at all pods
// again and again.
func nudge(ctx context.Context, api client.Client) {
	seen := map[types.UID]string{}
	for ; ctx.Err() == nil; pause(ctx, nudgeInterval) {
		var pods corev1.PodList
		if api.List(ctx, &pods) != nil {
			continue
		}
		before := seen
		seen = map[types.UID]string{}
		for i := range pods.Items {
			pod := &pods.Items[i]
			seen[pod.UID] = pod.ResourceVersion
			if before[pod.UID] != pod.ResourceVersion || pod.Spec.NodeName == "" || settled(pod) {
				continue
			}
			patch := client.MergeFrom(pod.DeepCopy())
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, nudged, time.Now().Format(time.RFC3339Nano))
			_ = api.Patch(ctx, pod, patch) // Errors are part of the chaos.
		}
	}
}

// settled reports whether a pod is ready and isn't being deleted.
func settled(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return pod.DeletionTimestamp == nil
		}
	}
	return false
}
