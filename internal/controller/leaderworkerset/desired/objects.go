// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package desired builds the objects that a LeaderWorkerSet is made of, and what each pod gets injected at admission. Pure: the same
// input gives the same objects.
package desired

import (
	"cmp"
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// LeaderStatefulSet is the StatefulSet of the leader pods of every group, made from the template of a revision at one step of a
// rollout.
func LeaderStatefulSet(lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template, key string, step rollout.Step) *appsv1.StatefulSet {
	pod := podTemplate(template.Leader(), template, map[string]string{
		leaderworkersetv1.SetNameLabelKey:     lws.Name,
		leaderworkersetv1.WorkerIndexLabelKey: identity.FormatIndex(0),
		leaderworkersetv1.RevisionLabelKey:    key,
	}, topologyAnnotations(lws.Annotations))
	if template.Subdomain() == leaderworkersetv1.SubdomainUniquePerReplica {
		pod.Annotations[leaderworkersetv1.SubdomainPolicyAnnotationKey] = string(leaderworkersetv1.SubdomainUniquePerReplica)
	}
	labels := merged(othersLabels(lws.Labels), map[string]string{
		leaderworkersetv1.SetNameLabelKey:  lws.Name,
		leaderworkersetv1.RevisionLabelKey: key,
	})
	annotations := merged(passedOn(lws.Annotations), map[string]string{
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
			VolumeClaimTemplates:                 template.LeaderWorkerTemplate.VolumeClaimTemplates,
			PersistentVolumeClaimRetentionPolicy: ClaimRetention(lws),
		},
	}
}

// Group names the group that a worker StatefulSet or a Service is for.
type Group struct {
	// Index is the group's index.
	Index int32

	// Leader is the group's leader pod, which the group's objects belong to.
	Leader *corev1.Pod

	// Topology is the node label and value that the workers are bound to by exclusive placement; an empty key without it.
	Topology Topology
}

// Topology is a node label and its value.
type Topology struct{ Key, Value string }

// WorkerStatefulSet is the StatefulSet of the workers of one group. Everything in it is of the group's own revision, even while the
// set already asks for another one, but for whom new claims belong to at first. It retains its claims: it is deleted whenever the group is
// recreated.
func WorkerStatefulSet(lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template, key string, group Group) *appsv1.StatefulSet {
	labels := map[string]string{
		leaderworkersetv1.SetNameLabelKey:         lws.Name,
		leaderworkersetv1.GroupIndexLabelKey:      identity.FormatIndex(group.Index),
		leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey(lws.Namespace, group.Leader.Name),
	}
	selector := maps.Clone(labels)
	labels[leaderworkersetv1.RevisionLabelKey] = key

	annotations := topologyAnnotations(group.Leader.Annotations)
	annotations[leaderworkersetv1.LeaderPodNameAnnotationKey] = group.Leader.Name
	if requestsTPUs(&template.Leader().Spec) {
		annotations[leaderworkersetv1.LeaderRequestsTPUsAnnotationKey] = "true"
	}
	pod := podTemplate(&template.LeaderWorkerTemplate.WorkerTemplate, template, labels, annotations)
	if group.Topology.Key != "" {
		pod.Spec.NodeSelector = merged(pod.Spec.NodeSelector, map[string]string{group.Topology.Key: group.Topology.Value})
	}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            identity.WorkerStatefulSet(lws.Name, group.Index),
			Namespace:       lws.Namespace,
			Labels:          merged(othersLabels(lws.Labels), labels),
			Annotations:     passedOn(lws.Annotations),
			OwnerReferences: controlledByLeader(group.Leader),
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas:                             ptr.To(*template.LeaderWorkerTemplate.Size - 1),
			Ordinals:                             &appsv1.StatefulSetOrdinals{Start: 1},
			ServiceName:                          identity.Service(lws.Name, group.Index, template.Subdomain()),
			PodManagementPolicy:                  appsv1.ParallelPodManagement,
			Selector:                             &metav1.LabelSelector{MatchLabels: selector},
			Template:                             pod,
			VolumeClaimTemplates:                 workerClaims(lws, template.LeaderWorkerTemplate.VolumeClaimTemplates, group.Leader),
			PersistentVolumeClaimRetentionPolicy: retained(),
		},
	}
}

// SharedService is the headless Service through which the pods of all groups find each other.
func SharedService(lws *leaderworkersetv1.LeaderWorkerSet) *corev1.Service {
	return headlessService(lws, lws.Name, controlledBySet(lws), map[string]string{leaderworkersetv1.SetNameLabelKey: lws.Name})
}

// GroupService is the headless Service through which the pods of one group find each other.
func GroupService(lws *leaderworkersetv1.LeaderWorkerSet, group Group) *corev1.Service {
	name := identity.Service(lws.Name, group.Index, leaderworkersetv1.SubdomainUniquePerReplica)
	return headlessService(lws, name, controlledByLeader(group.Leader), map[string]string{
		leaderworkersetv1.SetNameLabelKey:    lws.Name,
		leaderworkersetv1.GroupIndexLabelKey: identity.FormatIndex(group.Index),
	})
}

// ClaimRetention is the retention policy of the set's claims, with the API server's defaults filled in: it adds them to StatefulSets,
// and what is compared has to be complete.
func ClaimRetention(lws *leaderworkersetv1.LeaderWorkerSet) *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	policy := retained()
	if asked := lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy; asked != nil {
		policy.WhenDeleted = cmp.Or(asked.WhenDeleted, policy.WhenDeleted)
		policy.WhenScaled = cmp.Or(asked.WhenScaled, policy.WhenScaled)
	}
	return policy
}

// workerClaims are the templates of the claims of a group's workers. If claims are to go with the set, each belongs to the leader StatefulSet
// until the operator has seen it, and then to the set. The set can't be in the templates, which are immutable: a set that is deleted may
// leave its StatefulSet and groups behind. And without an owner claims would be left over: once the set is gone, those of workers that were
// never scheduled, which nothing protects, are made again until the StatefulSet of the workers is gone, too.
func workerClaims(lws *leaderworkersetv1.LeaderWorkerSet, templates []corev1.PersistentVolumeClaim, leader *corev1.Pod) []corev1.PersistentVolumeClaim {
	leaders := metav1.GetControllerOf(leader)
	if leaders == nil || ClaimRetention(lws).WhenDeleted != appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
		return templates
	}
	owner := metav1.OwnerReference{APIVersion: leaders.APIVersion, Kind: leaders.Kind, Name: leaders.Name, UID: leaders.UID}
	owned := make([]corev1.PersistentVolumeClaim, len(templates))
	for i := range templates {
		templates[i].DeepCopyInto(&owned[i])
		owned[i].OwnerReferences = append(owned[i].OwnerReferences, owner)
	}
	return owned
}

// retained keeps claims whatever becomes of the StatefulSet.
func retained() *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	return &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
		WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	}
}

func headlessService(lws *leaderworkersetv1.LeaderWorkerSet, name string, owners []metav1.OwnerReference, selector map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			Namespace:       lws.Namespace,
			Labels:          maps.Clone(selector),
			OwnerReferences: owners,
		},
		Spec: corev1.ServiceSpec{
			ClusterIP:                corev1.ClusterIPNone,
			Selector:                 selector,
			PublishNotReadyAddresses: true, // Groups find each other while they start, before anyone is ready.
		},
	}
}

// podTemplate is the user's template with the labels and annotations that every pod of a group carries.
func podTemplate(from *corev1.PodTemplateSpec, template *revision.Template, labels, annotations map[string]string) corev1.PodTemplateSpec {
	pod := *from.DeepCopy()
	pod.Labels = merged(othersLabels(pod.Labels), labels)
	pod.Annotations = merged(pod.Annotations, annotations)
	pod.Annotations[leaderworkersetv1.SizeAnnotationKey] = identity.FormatIndex(*template.LeaderWorkerTemplate.Size)
	if policy := template.LeaderWorkerTemplate.SubGroupPolicy; policy != nil && policy.SubGroupSize != nil {
		pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey] = identity.FormatIndex(*policy.SubGroupSize)
		pod.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey] = string(policy.Type)
	}
	return pod
}

// topologyAnnotations are those annotations, of a set or a leader, that ask for exclusive placement.
func topologyAnnotations(from map[string]string) map[string]string {
	annotations := map[string]string{}
	for _, key := range []string{leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey} {
		if value := from[key]; value != "" {
			annotations[key] = value
		}
	}
	return annotations
}

// othersLabels are the labels that aren't the operator's own. Those tell where an object belongs: a user's worker-index: "0" would make
// leaders of all workers.
func othersLabels(labels map[string]string) map[string]string {
	others := maps.Clone(labels)
	maps.DeleteFunc(others, func(key, _ string) bool { return strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) })
	return others
}

// passedOn are the annotations of the set that its StatefulSets get, too: all but the copy of the manifest that kubectl keeps, and those
// that on a StatefulSet are the operator's own notes.
func passedOn(annotations map[string]string) map[string]string {
	passed := maps.Clone(annotations)
	for _, key := range []string{
		corev1.LastAppliedConfigAnnotation, leaderworkersetv1.AheadAnnotationKey, leaderworkersetv1.GroupRecordAnnotationKey,
	} {
		delete(passed, key)
	}
	return passed
}

// merged is a new map of both, in which the second one wins.
func merged(base, over map[string]string) map[string]string {
	result := make(map[string]string, len(base)+len(over))
	maps.Copy(result, base)
	maps.Copy(result, over)
	return result
}

func controlledBySet(lws *leaderworkersetv1.LeaderWorkerSet) []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))}
}

func controlledByLeader(leader *corev1.Pod) []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(leader, corev1.SchemeGroupVersion.WithKind("Pod"))}
}
