// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// marks are labels and annotations by which tools mark what they deploy.
var marks = map[string]string{
	"applyset.kubernetes.io/part-of":        "applyset-x-v1",
	"objectset.rio.cattle.io/hash":          "abc",
	"objectset.rio.cattle.io/owner-name":    "llama",
	"kustomize.toolkit.fluxcd.io/name":      "apps",
	"kustomize.toolkit.fluxcd.io/namespace": "flux-system",
	"kustomize.toolkit.fluxcd.io/checksum":  "abc",
	"helm.toolkit.fluxcd.io/name":           "llama",
	"kapp.k14s.io/app":                      "123",
	"kapp.k14s.io/association":              "v1.abc",
	"kapp.k14s.io/identity":                 "v1;default/leaderworkerset.x-k8s.io/LeaderWorkerSet/llama",
	"argocd.argoproj.io/instance":           "apps",
	"argocd.argoproj.io/tracking-id":        "apps:leaderworkerset.x-k8s.io/LeaderWorkerSet:default/llama",
	"argocd.argoproj.io/installation-id":    "1",
	"meta.helm.sh/release-name":             "llama",
	"meta.helm.sh/release-namespace":        "default",
	"app.kubernetes.io/managed-by":          "Helm",
	"configmanagement.gke.io/managed":       "enabled",
	"configsync.gke.io/resource-id":         "leaderworkerset.x-k8s.io_leaderworkerset_default_llama",
	"config.k8s.io/owning-inventory":        "abc",
	"olm.owner":                             "llama.v1",
	"olm.owner.kind":                        "ClusterServiceVersion",
	"olm.managed":                           "true",
}

// others are labels and annotations that no tool deletes objects by.
var others = map[string]string{
	"team":                            "inference",
	"app.kubernetes.io/name":          "llama",
	"app.kubernetes.io/instance":      "llama",
	"helm.sh/chart":                   "llama-1.0",
	"argocd.argoproj.io/sync-options": "Prune=false",
	"olm.owners":                      "x",
}

// TestDeploymentMarksStayBehind checks that StatefulSets inherit what people select and read, and not what says which
// tool deployed the set.
func TestDeploymentMarksStayBehind(t *testing.T) {
	both := maps.Clone(others)
	maps.Copy(both, marks)
	for name, sts := range statefulSetsWith(both) {
		for key, value := range marks {
			if _, ok := sts.Labels[key]; ok {
				t.Errorf("%s have the label %s: %s", name, key, value)
			}
			if _, ok := sts.Annotations[key]; ok {
				t.Errorf("%s have the annotation %s: %s", name, key, value)
			}
		}
		for key, value := range others {
			if sts.Labels[key] != value || sts.Annotations[key] != value {
				t.Errorf("%s lack %s: %s", name, key, value)
			}
		}
	}
}

// TestManagedByOthersIsInherited checks that only Helm's value is a mark: other tools don't look at this label.
func TestManagedByOthersIsInherited(t *testing.T) {
	const key = "app.kubernetes.io/managed-by"
	for name, sts := range statefulSetsWith(map[string]string{key: "platform-team"}) {
		if sts.Labels[key] != "platform-team" {
			t.Errorf("%s have the labels %v", name, sts.Labels)
		}
	}
}

// TestPodTemplatesKeepMarks checks that templates stay as users wrote them.
func TestPodTemplatesKeepMarks(t *testing.T) {
	lws := newSet(2)
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Labels = maps.Clone(marks)
	for _, pod := range createdPods(lws, 1) {
		for key, value := range marks {
			if pod.Labels[key] != value {
				t.Errorf("pod %s lacks the label %s", pod.Name, key)
			}
		}
	}
}

// TestAdjustRemovesMarks checks that a StatefulSet loses the marks that earlier versions passed on, and nothing else.
func TestAdjustRemovesMarks(t *testing.T) {
	for name, wanted := range statefulSetsWith(others) {
		existing := wanted.DeepCopy()
		maps.Copy(existing.Labels, marks)
		maps.Copy(existing.Annotations, marks)
		existing.Labels["added-by"], existing.Annotations[corev1.LastAppliedConfigAnnotation] = "somebody", "{}"
		want := wanted.DeepCopy()
		want.Labels["added-by"], want.Annotations[corev1.LastAppliedConfigAnnotation] = "somebody", "{}"
		if diff := cmp.Diff(want, desired.Adjust(existing, wanted, false)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestClaimTemplatesAreAsOthersWriteThem checks that claim templates name the namespace, and that the set's own don't
// change.
func TestClaimTemplatesAreAsOthersWriteThem(t *testing.T) {
	lws := newSet(2)
	claims := []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = claims
	want := []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: lws.Namespace}}}
	for name, sts := range statefulSetsOf(lws) {
		if diff := cmp.Diff(want, sts.Spec.VolumeClaimTemplates); diff != "" {
			t.Errorf("claim templates of the %s (-want +got):\n%s", name, diff)
		}
		existing := sts.DeepCopy()
		existing.Spec.VolumeClaimTemplates = claims
		if diff := cmp.Diff(existing, desired.Adjust(existing, sts, true)); diff != "" {
			t.Errorf("%s that were made without it (-want +got):\n%s", name, diff)
		}
	}
	if claims[0].Namespace != "" {
		t.Error("the template of the set was changed")
	}
}

// statefulSetsWith returns the StatefulSets of a set with these labels and annotations.
func statefulSetsWith(metadata map[string]string) map[string]*appsv1.StatefulSet {
	lws := newSet(2)
	lws.Labels, lws.Annotations = maps.Clone(metadata), maps.Clone(metadata)
	return statefulSetsOf(lws)
}

// statefulSetsOf returns the StatefulSet of the leaders of a set, and that of the workers of group 1.
func statefulSetsOf(lws *leaderworkersetv1.LeaderWorkerSet) map[string]*appsv1.StatefulSet {
	template := revision.TemplateOf(lws)
	leaders := desired.LeaderStatefulSet(lws, &template, key, rollout.Step{Replicas: *lws.Spec.Replicas})
	leader := createdPod(&leaders.Spec.Template, leaders.Spec.ServiceName, "llama-1")
	workers := desired.WorkerStatefulSet(lws, &template, key, desired.Group{Index: 1, Leader: leader})
	return map[string]*appsv1.StatefulSet{"leaders": leaders, "workers": workers}
}
