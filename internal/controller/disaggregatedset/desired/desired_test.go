// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
)

// newSet returns a set whose role prefill has leaders of their own, labels and annotations. The user's templates have
// values for everything that the operator adds.
func newSet() *disaggregatedsetv1.DisaggregatedSet {
	pods := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"tier": "gpu", "app": "mine"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "proxy", Image: "proxy:1"}},
			Containers: []corev1.Container{{
				Name: "server", Image: "serve:1",
				Env: []corev1.EnvVar{
					{Name: "PORT", Value: "8000"}, {Name: "DISAGGREGATEDSET_ROLE", Value: "mine"},
					{Name: "ADDRESS", Value: "$(DISAGGREGATEDSET_NAME):$(PORT)"},
				},
			}},
		},
	}
	set := &disaggregatedsetv1.DisaggregatedSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "llama", UID: "1"},
		Spec: disaggregatedsetv1.DisaggregatedSetSpec{Roles: []disaggregatedsetv1.DisaggregatedRoleSpec{{
			Name: "prefill",
			Metadata: disaggregatedsetv1.RoleMetadata{
				Labels:      map[string]string{"team": "a", disaggregatedsetv1.RoleLabelKey: "mine"},
				Annotations: map[string]string{"note": "b", disaggregatedsetv1.InitialReplicasAnnotationKey: "7"},
			},
			Spec: leaderworkersetv1.LeaderWorkerSetSpec{
				Replicas: ptr.To[int32](4),
				LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
					Size: ptr.To[int32](2), LeaderTemplate: pods.DeepCopy(), WorkerTemplate: pods,
				},
			},
		}}},
	}
	set.Default()
	return set
}

// first is the position of the set's only role in a slice.
func first(set *disaggregatedsetv1.DisaggregatedSet, slice int32) desired.Position {
	return desired.Position{Slice: slice, Revision: "1a2b3c4d", Role: &set.Spec.Roles[0]}
}

// TestChild compares what a child has with what its role asks for and with what the operator adds.
func TestChild(t *testing.T) {
	set := newSet()
	before := set.DeepCopy()
	child := desired.Child(set, first(set, 2), 3, 4)
	if diff := cmp.Diff(before, set); diff != "" {
		t.Errorf("the set has changed (-before +after):\n%s", diff)
	}
	want := map[string]any{
		"name": "llama-2-1a2b3c4d-prefill", "replicas": int32(3),
		"labels": map[string]string{
			"team": "a", "app": "llama-2-prefill", "disaggregatedset.x-k8s.io/name": "llama",
			"disaggregatedset.x-k8s.io/role": "prefill", "disaggregatedset.x-k8s.io/slice": "2",
			"disaggregatedset.x-k8s.io/revision": "1a2b3c4d",
		},
		"annotations": map[string]string{"note": "b", "disaggregatedset.x-k8s.io/initial-replicas": "4"},
	}
	got := map[string]any{
		"name": child.Name, "replicas": *child.Spec.Replicas, "labels": child.Labels, "annotations": child.Annotations,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !metav1.IsControlledBy(child, set) || !*child.OwnerReferences[0].BlockOwnerDeletion {
		t.Errorf("owners %+v", child.OwnerReferences)
	}
	template := child.Spec.LeaderWorkerTemplate
	for name, pods := range map[string]*corev1.PodTemplateSpec{
		"leader": template.LeaderTemplate, "worker": &template.WorkerTemplate,
	} {
		checkPods(t, name, pods)
	}
}

// checkPods checks the labels and variables of a template.
func checkPods(t *testing.T, name string, pods *corev1.PodTemplateSpec) {
	t.Helper()
	wantLabels := map[string]string{
		"tier": "gpu", "app": "llama-2-prefill", "disaggregatedset.x-k8s.io/name": "llama",
		"disaggregatedset.x-k8s.io/role": "prefill", "disaggregatedset.x-k8s.io/slice": "2",
		"disaggregatedset.x-k8s.io/revision": "1a2b3c4d",
	}
	if diff := cmp.Diff(wantLabels, pods.Labels); diff != "" {
		t.Errorf("labels of the %s (-want +got):\n%s", name, diff)
	}
	added := []corev1.EnvVar{
		{Name: "DISAGGREGATEDSET_NAME", Value: "llama"}, {Name: "DISAGGREGATEDSET_ROLE", Value: "prefill"},
		{Name: "DISAGGREGATEDSET_SLICE", Value: "2"}, {Name: "DISAGGREGATEDSET_REVISION", Value: "1a2b3c4d"},
	}
	if diff := cmp.Diff(added, pods.Spec.InitContainers[0].Env); diff != "" {
		t.Errorf("variables of the %s's init container (-want +got):\n%s", name, diff)
	}
	wantEnv := slices.Concat(added, []corev1.EnvVar{
		{Name: "PORT", Value: "8000"}, {Name: "ADDRESS", Value: "$(DISAGGREGATEDSET_NAME):$(PORT)"},
	})
	if diff := cmp.Diff(wantEnv, pods.Spec.Containers[0].Env); diff != "" {
		t.Errorf("variables of the %s (-want +got):\n%s", name, diff)
	}
}

// TestAdjusted changes a role in all ways, and compares what reaches a living child. What needs new pods doesn't.
func TestAdjusted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*disaggregatedsetv1.DisaggregatedRoleSpec)
		want   func(*leaderworkersetv1.LeaderWorkerSet)
	}{
		{"nothing", func(*disaggregatedsetv1.DisaggregatedRoleSpec) {}, func(*leaderworkersetv1.LeaderWorkerSet) {}},
		{
			"an image",
			func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
				r.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "serve:2"
			},
			func(*leaderworkersetv1.LeaderWorkerSet) {},
		},
		{
			"the size of groups",
			func(r *disaggregatedsetv1.DisaggregatedRoleSpec) { r.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](3) },
			func(*leaderworkersetv1.LeaderWorkerSet) {},
		},
		{
			"the replicas of the role, which the rollout has its own number for",
			func(r *disaggregatedsetv1.DisaggregatedRoleSpec) { r.Spec.Replicas = ptr.To[int32](9) },
			func(*leaderworkersetv1.LeaderWorkerSet) {},
		},
		{
			"a label and an annotation",
			func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
				r.Metadata.Labels = map[string]string{"cost": "c"}
				r.Metadata.Annotations = map[string]string{"note": "d"}
			},
			func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Labels["cost"], lws.Annotations["note"] = "c", "d" },
		},
		{
			"the limits of a rollout",
			func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
				r.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable.IntVal = 2
			},
			func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable.IntVal = 2
			},
		},
		{
			"restarts",
			func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
				r.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
				r.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](5)
			},
			func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
				lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](5)
			},
		},
	} {
		set := newSet()
		child := desired.Child(set, first(set, 0), 3, 4)
		want := child.DeepCopy()
		tc.change(&set.Spec.Roles[0])
		tc.want(want)
		if diff := cmp.Diff(want, desired.Adjusted(child, set, first(set, 0), 3, 4)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		removed := first(set, 0)
		removed.Role = nil
		old := desired.Adjusted(child, set, removed, 1, 2)
		if *old.Spec.Replicas != 1 || old.Annotations[disaggregatedsetv1.InitialReplicasAnnotationKey] != "2" {
			t.Errorf("%s: the child of a removed role has %d replicas, annotations %v",
				tc.name, *old.Spec.Replicas, old.Annotations)
		}
	}
}

// TestWithoutInjected compares a child's templates with those of its role, wherever the child belongs.
func TestWithoutInjected(t *testing.T) {
	set := newSet()
	set.Spec.PlacementPolicy = &disaggregatedsetv1.PlacementPolicy{
		Type: disaggregatedsetv1.ExclusiveTopologyPlacement, Topology: "rack",
	}
	set.Spec.Roles[0].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Affinity = &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{},
	}
	want := desired.WithoutInjected(&set.Spec.Roles[0].Spec)
	for slice := range int32(3) {
		child := desired.Child(set, first(set, slice), 4, 4)
		if got := desired.WithoutInjected(&child.Spec); !equality.Semantic.DeepEqual(want, got) {
			t.Errorf("slice %d (-want +got):\n%s", slice, cmp.Diff(want, got))
		}
	}
}

// TestPlacement compares the terms that a slice adds to the user's affinity.
func TestPlacement(t *testing.T) {
	const name, index = disaggregatedsetv1.SetNameLabelKey, disaggregatedsetv1.SliceLabelKey
	for _, tc := range []struct {
		kind            disaggregatedsetv1.PlacementType
		slice           int32
		together, apart []string
	}{
		{kind: disaggregatedsetv1.NonePlacement},
		{
			disaggregatedsetv1.ExclusiveSlicePlacement, 0,
			[]string{"rack: " + name + " in (llama)," + index + " in (0)"},
			[]string{"rack: " + name + " in (llama)," + index + " notin (0)," + index},
		},
		{
			disaggregatedsetv1.ExclusiveSlicePlacement, 1,
			[]string{"rack: " + name + " in (llama)," + index + " in (1)"},
			[]string{"rack: " + name + " in (llama)," + index + " notin (1)"},
		},
		{
			disaggregatedsetv1.ExclusiveTopologyPlacement, 1,
			[]string{"rack: " + name + " in (llama)," + index + " in (1)"},
			[]string{
				"rack: " + name + " in (llama)," + index + " notin (1)",
				"rack: " + name + " notin (llama)," + index,
			},
		},
	} {
		set := newSet()
		set.Spec.PlacementPolicy = &disaggregatedsetv1.PlacementPolicy{Type: tc.kind, Topology: "rack"}
		own := corev1.PodAffinityTerm{
			TopologyKey: "zone", LabelSelector: metav1.SetAsLabelSelector(map[string]string{"a": "b"}),
		}
		set.Spec.Roles[0].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Affinity = &corev1.Affinity{
			PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{own},
			},
		}
		affinity := desired.Child(set, first(set, tc.slice), 1, 1).Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Affinity
		var together []corev1.PodAffinityTerm
		if affinity.PodAffinity != nil {
			together = affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		what := fmt.Sprintf("%s, slice %d", tc.kind, tc.slice)
		if diff := cmp.Diff(tc.together, terms(t, together)); diff != "" {
			t.Errorf("%s: together (-want +got):\n%s", what, diff)
		}
		apart := terms(t, affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		if diff := cmp.Diff(append([]string{"zone: a=b"}, tc.apart...), apart); diff != "" {
			t.Errorf("%s: apart (-want +got):\n%s", what, diff)
		}
	}
}

// terms writes terms as topology and selector.
func terms(t *testing.T, all []corev1.PodAffinityTerm) []string {
	t.Helper()
	var written []string
	for _, term := range all {
		selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, term.TopologyKey+": "+selector.String())
	}
	return written
}

// TestScaler compares the scaler of a role.
func TestScaler(t *testing.T) {
	set := newSet()
	want := &disaggregatedsetv1.DisaggregatedSetRoleScaler{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: "llama-prefill",
			Labels: map[string]string{
				"disaggregatedset.x-k8s.io/name": "llama", "disaggregatedset.x-k8s.io/role": "prefill",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "disaggregatedset.x-k8s.io/v1", Kind: "DisaggregatedSet", Name: "llama", UID: "1",
				Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		Spec: disaggregatedsetv1.DisaggregatedSetRoleScalerSpec{Replicas: 3},
	}
	if diff := cmp.Diff(want, desired.Scaler(set, "prefill", 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
