// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// areMadeFrom reports whether the StatefulSets of the revision with this key are made from a template, in whatever
// words. Other controllers write the same template in other words, and compute other keys.
func areMadeFrom(set *snapshot.Set, template *revision.Template, key string) bool {
	leaders := set.OwnLeaders()
	if !maps.Equal(desired.PlacementOf(leaders), template.Placement) {
		return false
	}
	wanted := desired.LeaderStatefulSet(set.LWS, template, key, rollout.Step{})
	if !slices.EqualFunc(leaders.Spec.VolumeClaimTemplates, wanted.Spec.VolumeClaimTemplates, equalClaim) ||
		!equalPods(&leaders.Spec.Template, &wanted.Spec.Template) {
		return false
	}
	workers := set.LostWorkers
	if workers == nil {
		return true // No worker shows anything else.
	}
	of := slices.IndexFunc(set.Groups, func(group snapshot.Group) bool { return group.Leader.Name == workers.Name })
	if of < 0 {
		return false
	}
	group := desired.Group{Index: set.Groups[of].Index, Leader: set.Groups[of].Leader}
	wanted = desired.WorkerStatefulSet(set.LWS, template, key, group)
	return ptr.Deref(workers.Spec.Replicas, 1) == *wanted.Spec.Replicas &&
		equalPods(&workers.Spec.Template, &wanted.Spec.Template)
}

// equalPods compares the pod templates of two StatefulSets as far as they come from a revision.
func equalPods(a, b *corev1.PodTemplateSpec) bool {
	return revision.EqualPods(fromRevision(a), fromRevision(b))
}

// fromRevision returns the part of a StatefulSet's pod template that comes from a revision: without what the operator
// adds, but with the size, the subgroups and the subdomains.
func fromRevision(template *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	part := template.DeepCopy()
	isOwn := func(key, _ string) bool { return strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) }
	maps.DeleteFunc(part.Labels, isOwn)
	maps.DeleteFunc(part.Annotations, isOwn)
	for _, key := range []string{
		leaderworkersetv1.SizeAnnotationKey, leaderworkersetv1.SubdomainPolicyAnnotationKey,
		leaderworkersetv1.SubGroupSizeAnnotationKey,
	} {
		metav1.SetMetaDataAnnotation(&part.ObjectMeta, key, template.Annotations[key])
	}
	metav1.SetMetaDataAnnotation(&part.ObjectMeta, leaderworkersetv1.SubGroupPolicyTypeAnnotationKey, cmp.Or(
		template.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey],
		string(leaderworkersetv1.SubGroupPolicyTypeLeaderWorker)))
	delete(part.Spec.NodeSelector, template.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey])
	return part
}
