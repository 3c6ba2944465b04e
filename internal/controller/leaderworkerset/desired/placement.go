// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// placementKeys are the annotations of a set that request exclusive placement.
//
// Pods carry them from the pod template of the leader StatefulSet, which changes only with a new revision. A set may
// request another placement within one revision, for groups that are created from then on. So the leader StatefulSet
// carries the request in its own annotations as well, and the webhook brings each new leader up to date with those. An
// empty annotation requests no exclusive placement. Without an annotation, the pod template decides: another version or
// controller may have created the StatefulSet.
var placementKeys = []string{
	leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey,
}

// topologyAnnotations returns the annotations of a set or a leader that request exclusive placement.
func topologyAnnotations(from map[string]string) map[string]string {
	annotations := map[string]string{}
	for _, key := range placementKeys {
		if value := from[key]; value != "" {
			annotations[key] = value
		}
	}
	return annotations
}

// withdrawPlacement empties the placement annotations that the set doesn't have, if the leader StatefulSet or its pod
// template has them.
func withdrawPlacement(leaders, wanted *appsv1.StatefulSet) {
	for _, key := range placementKeys {
		_, requested := wanted.Annotations[key]
		if _, carried := leaders.Annotations[key]; !requested && (carried || leaders.Spec.Template.Annotations[key] != "") {
			metav1.SetMetaDataAnnotation(&leaders.ObjectMeta, key, "")
		}
	}
}

// UpdatePlacement brings the placement annotations of a new leader up to date with those of the leader StatefulSet that
// creates it. It returns the operations of a JSON patch that does the same. A leader without any annotation stays as it
// is: Inject rejects it.
func UpdatePlacement(leader *corev1.Pod, leaders *appsv1.StatefulSet) []jsonpatch.Operation {
	if leaders == nil || !metav1.IsControlledBy(leader, leaders) || leader.Annotations == nil {
		return nil
	}
	e := &editor{pod: leader}
	for _, key := range placementKeys {
		switch value, carried := leaders.Annotations[key]; {
		case !carried:
		case value == "":
			e.removeAnnotation(key)
		default:
			e.setAnnotation(key, value)
		}
	}
	return e.patch
}
