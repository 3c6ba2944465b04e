// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Adjust returns an existing StatefulSet with everything that a change of the LeaderWorkerSet may change of it.
//
// Its pod template is replaced only with a new revision. Another controller, or another version of this one, may have
// written the same template in other words, and any difference would restart the pods. Labels and annotations of others
// stay, but for those of a tool that deploys sets: earlier versions of the operator have passed them on.
func Adjust(existing, wanted *appsv1.StatefulSet, newRevision bool) *appsv1.StatefulSet {
	result := existing.DeepCopy()
	result.Labels = mergedInto(result.Labels, wanted.Labels)
	result.Annotations = mergedInto(result.Annotations, wanted.Annotations)
	maps.DeleteFunc(result.Labels, isDeploymentKey)
	maps.DeleteFunc(result.Annotations, isDeploymentKey)
	result.Spec.Replicas = wanted.Spec.Replicas
	result.Spec.PersistentVolumeClaimRetentionPolicy = wanted.Spec.PersistentVolumeClaimRetentionPolicy
	if wanted.Spec.UpdateStrategy.Type != "" {
		result.Spec.UpdateStrategy = adjustedStrategy(existing.Spec.UpdateStrategy, wanted.Spec.UpdateStrategy)
	}
	if newRevision {
		result.Spec.Template = wanted.Spec.Template
	}
	return result
}

// restartedAt is the annotation that kubectl rollout restart sets in the pod template of a workload. From
// k8s.io/kubectl, package pkg/polymorphichelpers.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// AdjustLeaders does what Adjust does for the leader StatefulSet, and two things more.
//
// It withdraws requests for exclusive placement that the set no longer has. And it undoes kubectl rollout restart,
// which would replace the leaders one after the other without regard to their groups. No other change of the pod
// template within a revision is undone: it can't be told apart from the same template in other words.
func AdjustLeaders(existing, wanted *appsv1.StatefulSet, newRevision bool) *appsv1.StatefulSet {
	result := Adjust(existing, wanted, newRevision)
	withdrawPlacement(result, wanted)
	template := &result.Spec.Template.ObjectMeta
	if value, requested := wanted.Spec.Template.Annotations[restartedAt]; requested {
		metav1.SetMetaDataAnnotation(template, restartedAt, value)
	} else {
		delete(template.Annotations, restartedAt)
	}
	return result
}

// adjustedStrategy returns the wanted strategy, and keeps what the API server has added to it.
func adjustedStrategy(existing, wanted appsv1.StatefulSetUpdateStrategy) appsv1.StatefulSetUpdateStrategy {
	if existing.Type == wanted.Type && existing.RollingUpdate != nil {
		existing = *existing.DeepCopy()
		existing.RollingUpdate.Partition = wanted.RollingUpdate.Partition
		return existing
	}
	return wanted
}

// mergedInto returns base itself if there is nothing to add, so that a missing map stays missing.
func mergedInto(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	result := maps.Clone(base)
	if result == nil {
		result = map[string]string{}
	}
	maps.Copy(result, over)
	return result
}
