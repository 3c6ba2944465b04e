// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package desired builds the objects of a LeaderWorkerSet, and injects its pods at admission. It is pure: the same
// input gives the same objects.
package desired

import (
	"cmp"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/placement"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// LeaderStatefulSet returns the StatefulSet of the leader pods of all groups. template and key are those of a revision,
// and step is a step of the rollout to this revision.
func LeaderStatefulSet(
	lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template, key string, step rollout.Step,
) *appsv1.StatefulSet {
	pod := podTemplate(template.Leader(), template, map[string]string{
		leaderworkersetv1.SetNameLabelKey:     lws.Name,
		leaderworkersetv1.WorkerIndexLabelKey: identity.FormatIndex(0),
		leaderworkersetv1.RevisionLabelKey:    key,
	}, template.Placement)
	if role := scheduling.LeaderRole(lws.Spec.Scheduling); role != "" {
		pod.Annotations[leaderworkersetv1.SchedulingGroupAnnotationKey] = string(role)
	}
	if template.Subdomain() == leaderworkersetv1.SubdomainUniquePerReplica {
		pod.Annotations[leaderworkersetv1.SubdomainPolicyAnnotationKey] = string(leaderworkersetv1.SubdomainUniquePerReplica)
	}
	labels := merged(inheritedLabels(lws.Labels), map[string]string{
		leaderworkersetv1.SetNameLabelKey:  lws.Name,
		leaderworkersetv1.RevisionLabelKey: key,
	})
	annotations := merged(inheritedAnnotations(lws.Annotations), map[string]string{
		leaderworkersetv1.ReplicasAnnotationKey: identity.FormatIndex(*lws.Spec.Replicas),
	})
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            identity.LeaderStatefulSet(lws.Name),
			Namespace:       lws.Namespace,
			Labels:          labels,
			Annotations:     annotations,
			OwnerReferences: controlledBySet(lws),
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas:            ptr.To(step.Replicas),
			ServiceName:         lws.Name,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{
				leaderworkersetv1.SetNameLabelKey:     lws.Name,
				leaderworkersetv1.WorkerIndexLabelKey: identity.FormatIndex(0),
			}},
			Template: pod,
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
				Type:          appsv1.RollingUpdateStatefulSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(step.Partition)},
			},
			VolumeClaimTemplates:                 claimTemplates(lws, template),
			PersistentVolumeClaimRetentionPolicy: ClaimRetention(lws),
		},
	}
}

// Group identifies the group of a worker StatefulSet or a Service.
type Group struct {
	// Index is the group's index.
	Index int32

	// Leader is the group's leader pod. It owns the group's objects.
	Leader *corev1.Pod

	// Topology is the topology domain that exclusive placement binds the workers to. Its key is empty without exclusive
	// placement.
	Topology Topology

	// PodGroup is the name of the PodGroup that the workers are in; empty if they are in none.
	PodGroup string
}

// Topology is a topology domain: the nodes that have a label with this key and value.
type Topology struct{ Key, Value string }

// WorkerStatefulSet returns the StatefulSet of the workers of one group. template and key are those of the group's own
// revision, even while the set has a newer one. Only the first owner of new claims follows the set as it is now. The
// StatefulSet retains its claims, since every restart of the group deletes the StatefulSet.
func WorkerStatefulSet(
	lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template, key string, group Group,
) *appsv1.StatefulSet {
	labels := map[string]string{
		leaderworkersetv1.SetNameLabelKey:         lws.Name,
		leaderworkersetv1.GroupIndexLabelKey:      identity.FormatIndex(group.Index),
		leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey(lws.Namespace, group.Leader.Name),
	}
	selector := maps.Clone(labels)
	labels[leaderworkersetv1.RevisionLabelKey] = key

	annotations := placement.Of(group.Leader.Annotations)
	annotations[leaderworkersetv1.LeaderPodNameAnnotationKey] = group.Leader.Name
	if requestsTPUs(&template.Leader().Spec) {
		annotations[leaderworkersetv1.LeaderRequestsTPUsAnnotationKey] = "true"
	}
	pod := podTemplate(&template.LeaderWorkerTemplate.WorkerTemplate, template, labels, annotations)
	if group.Topology.Key != "" {
		pod.Spec.NodeSelector = merged(pod.Spec.NodeSelector, map[string]string{group.Topology.Key: group.Topology.Value})
	}
	if group.PodGroup != "" {
		pod.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: ptr.To(group.PodGroup)}
	}
	claims := workerClaims(lws, claimTemplates(lws, template), group.Leader)
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            identity.WorkerStatefulSet(lws.Name, group.Index),
			Namespace:       lws.Namespace,
			Labels:          merged(inheritedLabels(lws.Labels), labels),
			Annotations:     inheritedAnnotations(lws.Annotations),
			OwnerReferences: controlledByLeader(group.Leader),
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas:                             ptr.To(*template.LeaderWorkerTemplate.Size - 1),
			Ordinals:                             &appsv1.StatefulSetOrdinals{Start: 1},
			ServiceName:                          identity.Service(lws.Name, group.Index, template.Subdomain()),
			PodManagementPolicy:                  appsv1.ParallelPodManagement,
			Selector:                             &metav1.LabelSelector{MatchLabels: selector},
			Template:                             pod,
			VolumeClaimTemplates:                 claims,
			PersistentVolumeClaimRetentionPolicy: retainClaims(),
		},
	}
}

// ClaimRetention returns the retention policy of the set's claims. It fills in the defaults that the API server adds to
// StatefulSets, so that both compare equal.
func ClaimRetention(lws *leaderworkersetv1.LeaderWorkerSet) *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	policy := retainClaims()
	if spec := lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy; spec != nil {
		policy.WhenDeleted = cmp.Or(spec.WhenDeleted, policy.WhenDeleted)
		policy.WhenScaled = cmp.Or(spec.WhenScaled, policy.WhenScaled)
	}
	return policy
}

// claimTemplates returns the user's templates of volume claims with the namespace of the set. StatefulSets ignore the
// namespace. Other LeaderWorkerSet controllers write it, and claim templates can't be changed: without the namespace,
// none of them could take the set over.
func claimTemplates(
	lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template,
) []corev1.PersistentVolumeClaim {
	templates := slices.Clone(template.LeaderWorkerTemplate.VolumeClaimTemplates)
	for i := range templates {
		templates[i].Namespace = lws.Namespace
	}
	return templates
}

// workerClaims returns the templates of the claims of a group's workers. If claims are deleted with the set, each claim
// needs an owner. The leader StatefulSet owns a new claim until the operator has observed the claim, and the set owns
// it from then on.
//
// The set can't own claims through the templates: these are immutable, and a deleted set may leave its StatefulSet and
// groups behind. Without an owner, some claims would remain. No finalizer protects the claims of workers that were
// never scheduled. After the deletion of the set, the worker StatefulSet creates these claims again until it is deleted
// as well.
func workerClaims(
	lws *leaderworkersetv1.LeaderWorkerSet, templates []corev1.PersistentVolumeClaim, leader *corev1.Pod,
) []corev1.PersistentVolumeClaim {
	leaders := metav1.GetControllerOf(leader)
	if leaders == nil || ClaimRetention(lws).WhenDeleted != appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
		return templates
	}
	owner := metav1.OwnerReference{
		APIVersion: leaders.APIVersion, Kind: leaders.Kind, Name: leaders.Name, UID: leaders.UID,
	}
	owned := make([]corev1.PersistentVolumeClaim, len(templates))
	for i := range templates {
		templates[i].DeepCopyInto(&owned[i])
		owned[i].OwnerReferences = append(owned[i].OwnerReferences, owner)
	}
	return owned
}

// retainClaims returns the policy that keeps the claims of a StatefulSet that is deleted or scaled.
func retainClaims() *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	return &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
		WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	}
}

// podTemplate returns the user's template with these labels and annotations, and with those of every pod of a group.
func podTemplate(
	from *corev1.PodTemplateSpec, template *revision.Template, labels, annotations map[string]string,
) corev1.PodTemplateSpec {
	pod := *from.DeepCopy()
	pod.Labels = merged(withoutOwnLabels(pod.Labels), labels)
	pod.Annotations = merged(pod.Annotations, annotations)
	delete(pod.Annotations, leaderworkersetv1.SchedulingGroupAnnotationKey) // Nobody would create the PodGroup.
	pod.Annotations[leaderworkersetv1.SizeAnnotationKey] = identity.FormatIndex(*template.LeaderWorkerTemplate.Size)
	if policy := template.LeaderWorkerTemplate.SubGroupPolicy; policy != nil && policy.SubGroupSize != nil {
		pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey] = identity.FormatIndex(*policy.SubGroupSize)
		pod.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey] = string(policy.Type)
	}
	return pod
}

// merged returns a new map of the entries of both. The second map wins.
func merged(base, over map[string]string) map[string]string {
	result := make(map[string]string, len(base)+len(over))
	maps.Copy(result, base)
	maps.Copy(result, over)
	return result
}

func controlledBySet(lws *leaderworkersetv1.LeaderWorkerSet) []metav1.OwnerReference {
	return []metav1.OwnerReference{
		*metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet")),
	}
}

func controlledByLeader(leader *corev1.Pod) []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(leader, corev1.SchemeGroupVersion.WithKind("Pod"))}
}
