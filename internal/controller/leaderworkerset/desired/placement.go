// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"maps"

	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/placement"
)

// PlacementOf returns the placement that the leader StatefulSet gives to groups of its revision.
//
// The pod template has the annotations. Earlier versions changed the placement within a revision, for groups that were
// created from then on. They left the pod template as it was, and wrote the request into the annotations of the
// StatefulSet. There, an empty annotation withdraws the request of the pod template.
func PlacementOf(leaders *appsv1.StatefulSet) map[string]string {
	annotations := maps.Clone(leaders.Spec.Template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	for _, key := range placement.Exclusive {
		if value, carried := leaders.Annotations[key]; carried {
			annotations[key] = value
		}
	}
	return placement.Of(annotations)
}

// withdrawPlacement empties the annotations for placement that the set doesn't have, if the leader StatefulSet or its
// pod template has them.
func withdrawPlacement(leaders, wanted *appsv1.StatefulSet) {
	for _, key := range placement.Keys {
		_, requested := wanted.Annotations[key]
		if _, carried := leaders.Annotations[key]; !requested && (carried || leaders.Spec.Template.Annotations[key] != "") {
			metav1.SetMetaDataAnnotation(&leaders.ObjectMeta, key, "")
		}
	}
}

// UpdatePlacement brings the placement of a new leader up to date with the leader StatefulSet that creates it, see
// [PlacementOf]. It returns the operations of a JSON patch that does the same. A leader of an earlier revision keeps
// the placement of its own template. A leader without any annotation stays as it is: Inject rejects it.
func UpdatePlacement(leader *corev1.Pod, leaders *appsv1.StatefulSet) []jsonpatch.Operation {
	const key = leaderworkersetv1.RevisionLabelKey
	if leaders == nil || !metav1.IsControlledBy(leader, leaders) || leader.Annotations == nil ||
		leader.Labels[key] != leaders.Labels[key] {
		return nil
	}
	e := &editor{pod: leader}
	for _, key := range placement.Exclusive {
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
