// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package desired returns the child objects of a DisaggregatedSet as its spec asks for them.
package desired

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/identity"
	lwsidentity "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// The kinds of the API.
const (
	Kind       = "DisaggregatedSet"
	ScalerKind = "DisaggregatedSetRoleScaler"
)

// Owner returns the owner reference of children. The API server sets the kind of no object that a client reads.
func Owner(set *disaggregatedsetv1.DisaggregatedSet) metav1.OwnerReference {
	return *metav1.NewControllerRef(set, disaggregatedsetv1.GroupVersion.WithKind(Kind))
}

// Position is where a LeaderWorkerSet belongs in its set.
type Position struct {
	Slice    int32
	Revision string
	Role     *disaggregatedsetv1.DisaggregatedRoleSpec
}

// Child returns the LeaderWorkerSet of a role. initial is its baseline.
func Child(
	set *disaggregatedsetv1.DisaggregatedSet, at Position, replicas, initial int32,
) *leaderworkersetv1.LeaderWorkerSet {
	injected := childLabels(set, at)
	child := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            identity.Child(set.Name, at.Slice, at.Revision, at.Role.Name),
			Namespace:       set.Namespace,
			Labels:          merged(at.Role.Metadata.Labels, injected),
			Annotations:     merged(at.Role.Metadata.Annotations, baseline(initial)),
			OwnerReferences: []metav1.OwnerReference{Owner(set)},
		},
		Spec: *at.Role.Spec.DeepCopy(),
	}
	child.Spec.Replicas = ptr.To(replicas)
	template := &child.Spec.LeaderWorkerTemplate
	for _, pods := range []*corev1.PodTemplateSpec{template.LeaderTemplate, &template.WorkerTemplate} {
		if pods == nil {
			continue
		}
		pods.Labels = merged(pods.Labels, injected)
		addEnvironment(&pods.Spec, environment(set, at))
		addPlacement(&pods.Spec, set, at.Slice)
	}
	return child
}

// Adjusted returns a living child with the policies of its role: labels, annotations, the rollout's budgets and what
// else takes effect without new pods. role is nil for a role that the spec no longer has: then only the labels and the
// baseline change. Pods keep what they were created from.
func Adjusted(
	child *leaderworkersetv1.LeaderWorkerSet, set *disaggregatedsetv1.DisaggregatedSet, at Position,
	replicas, initial int32,
) *leaderworkersetv1.LeaderWorkerSet {
	adjusted := child.DeepCopy()
	adjusted.Spec.Replicas = ptr.To(replicas)
	adjusted.Annotations = merged(adjusted.Annotations, baseline(initial))
	if at.Role == nil {
		return adjusted
	}
	adjusted.Labels = merged(adjusted.Labels, at.Role.Metadata.Labels, childLabels(set, at))
	adjusted.Annotations = merged(adjusted.Annotations, at.Role.Metadata.Annotations, baseline(initial))
	from, to := &at.Role.Spec, &adjusted.Spec
	to.RolloutStrategy = *from.RolloutStrategy.DeepCopy()
	to.RevisionHistoryLimit = from.RevisionHistoryLimit
	to.LeaderWorkerTemplate.RestartPolicy = from.LeaderWorkerTemplate.RestartPolicy
	to.LeaderWorkerTemplate.MaxGroupRestarts = from.LeaderWorkerTemplate.MaxGroupRestarts
	retention := from.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy
	to.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = retention.DeepCopy()
	return adjusted
}

func baseline(initial int32) map[string]string {
	return map[string]string{disaggregatedsetv1.InitialReplicasAnnotationKey: lwsidentity.FormatIndex(initial)}
}

func childLabels(set *disaggregatedsetv1.DisaggregatedSet, at Position) map[string]string {
	return map[string]string{
		disaggregatedsetv1.AppLabelKey:      identity.App(set.Name, at.Slice, at.Role.Name),
		disaggregatedsetv1.SetNameLabelKey:  set.Name,
		disaggregatedsetv1.RoleLabelKey:     at.Role.Name,
		disaggregatedsetv1.SliceLabelKey:    lwsidentity.FormatIndex(at.Slice),
		disaggregatedsetv1.RevisionLabelKey: at.Revision,
	}
}

func environment(set *disaggregatedsetv1.DisaggregatedSet, at Position) []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: disaggregatedsetv1.NameEnvVar, Value: set.Name},
		{Name: disaggregatedsetv1.RoleEnvVar, Value: at.Role.Name},
		{Name: disaggregatedsetv1.SliceEnvVar, Value: lwsidentity.FormatIndex(at.Slice)},
		{Name: disaggregatedsetv1.RevisionEnvVar, Value: at.Revision},
	}
}

// addEnvironment puts variables first, so that the user's own can refer to them. They win over a user's of the same
// name.
func addEnvironment(pod *corev1.PodSpec, variables []corev1.EnvVar) {
	removeEnvironment(pod)
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			containers[i].Env = slices.Concat(variables, containers[i].Env)
		}
	}
}

func removeEnvironment(pod *corev1.PodSpec) {
	names := []string{
		disaggregatedsetv1.NameEnvVar, disaggregatedsetv1.RoleEnvVar,
		disaggregatedsetv1.SliceEnvVar, disaggregatedsetv1.RevisionEnvVar,
	}
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			containers[i].Env = slices.DeleteFunc(containers[i].Env, func(v corev1.EnvVar) bool {
				return slices.Contains(names, v.Name)
			})
		}
	}
}

// WithoutInjected returns a copy of a spec without what the operator adds to templates: labels, variables and the terms
// of a placement. What remains is what the role asked for. A role's own values of the same names are left out as well,
// so compare only what this function returned.
func WithoutInjected(spec *leaderworkersetv1.LeaderWorkerSetSpec) *leaderworkersetv1.LeaderWorkerSetSpec {
	plain := spec.DeepCopy()
	template := &plain.LeaderWorkerTemplate
	for _, pods := range []*corev1.PodTemplateSpec{template.LeaderTemplate, &template.WorkerTemplate} {
		if pods == nil {
			continue
		}
		for _, key := range []string{
			disaggregatedsetv1.AppLabelKey, disaggregatedsetv1.SetNameLabelKey, disaggregatedsetv1.RoleLabelKey,
			disaggregatedsetv1.SliceLabelKey, disaggregatedsetv1.RevisionLabelKey,
		} {
			delete(pods.Labels, key)
		}
		removeEnvironment(&pods.Spec)
		removePlacement(&pods.Spec)
	}
	return plain
}

// Scaler returns the scaler of a role.
func Scaler(
	set *disaggregatedsetv1.DisaggregatedSet, role string, replicas int32,
) *disaggregatedsetv1.DisaggregatedSetRoleScaler {
	return &disaggregatedsetv1.DisaggregatedSetRoleScaler{
		ObjectMeta: metav1.ObjectMeta{
			Name:            identity.Scaler(set.Name, role),
			Namespace:       set.Namespace,
			Labels:          roleLabels(set.Name, role),
			OwnerReferences: []metav1.OwnerReference{Owner(set)},
		},
		Spec: disaggregatedsetv1.DisaggregatedSetRoleScalerSpec{Replicas: replicas},
	}
}

// ScalerSelector selects the leader pods of a role, of all revisions.
func ScalerSelector(set, role string) string {
	return labels.Set(merged(roleLabels(set, role), map[string]string{
		leaderworkersetv1.WorkerIndexLabelKey: lwsidentity.FormatIndex(0),
	})).String()
}

func roleLabels(set, role string) map[string]string {
	return map[string]string{disaggregatedsetv1.SetNameLabelKey: set, disaggregatedsetv1.RoleLabelKey: role}
}

// merged returns the entries of all maps. The last one wins.
func merged(all ...map[string]string) map[string]string {
	result := map[string]string{}
	for _, each := range all {
		maps.Copy(result, each)
	}
	return result
}
