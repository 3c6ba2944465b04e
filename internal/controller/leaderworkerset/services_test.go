// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// unlabeled is the metadata of an object of a user.
func unlabeled(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "default"}
}

// TestMayBeOfSet checks which Services of a cluster start passes: those of sets, and those that have the name of a
// child.
func TestMayBeOfSet(t *testing.T) {
	passes := mayBeOfSet(cacheOf(t, setOfSize(2, 2)))
	elsewhere := unlabeled("llama")
	elsewhere.Namespace = "other"
	stranger := part("stranger")
	stranger.Labels[leaderworkersetv1.SetNameLabelKey] = "stranger"
	for _, tc := range []struct {
		name string
		meta metav1.ObjectMeta
		want bool
	}{
		{"of a set", part("llama"), true},
		{"of a set that doesn't exist", stranger, true},
		{"named as the set", unlabeled("llama"), true},
		{"named as a group", unlabeled("llama-1"), true},
		{"named as a set elsewhere", elsewhere, false},
		{"named otherwise", unlabeled("web"), false},
		{"named otherwise, with a number", unlabeled("web-1"), false},
	} {
		created := event.TypedCreateEvent[*corev1.Service]{Object: &corev1.Service{ObjectMeta: tc.meta}}
		if got := passes.Create(created); got != tc.want {
			t.Errorf("%s: passes %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestToSetByLabelOrName(t *testing.T) {
	for name, object := range map[string]client.Object{
		"by label": &corev1.Service{ObjectMeta: part("llama-1", "group-index", "1")},
		"by name":  &corev1.Service{ObjectMeta: unlabeled("llama")},
	} {
		if diff := cmp.Diff([]types.NamespacedName{llama}, toSetByLabelOrName(t.Context(), object)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCacheShowsServicesOfUsers checks that little is kept of Services that are no set's.
func TestCacheShowsServicesOfUsers(t *testing.T) {
	for object, by := range CacheByObject() {
		if _, isService := object.(*corev1.Service); isService && by.Label != nil {
			t.Error("the cache selects Services by label")
		}
	}
	service := &corev1.Service{ObjectMeta: unlabeled("llama"), Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "x"}, Ports: []corev1.ServicePort{{Port: 1}},
	}}
	service.Labels, service.Annotations = map[string]string{"app": "x"}, map[string]string{"note": "x"}
	want := &corev1.Service{ObjectMeta: unlabeled("llama"), Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "x"},
	}}
	if diff := cmp.Diff(want, trimmed(t, trimService, service)); diff != "" {
		t.Errorf("of a user (-want +got):\n%s", diff)
	}
	ofSet := &corev1.Service{ObjectMeta: part("llama"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
	if diff := cmp.Diff(ofSet.DeepCopy(), trimmed(t, trimService, ofSet)); diff != "" {
		t.Errorf("with the label of a set (-want +got):\n%s", diff)
	}
}

// TestObserveLostWorkers checks that a pass reads past the cache only if the revision of the leader StatefulSet was
// deleted.
func TestObserveLostWorkers(t *testing.T) {
	revisionOf := func(meta metav1.ObjectMeta, key string) metav1.ObjectMeta {
		meta.Labels[leaderworkersetv1.RevisionLabelKey] = key
		return meta
	}
	lws := setOfSize(2, 2)
	lws.UID = "set"
	leader := leaderOf(1)
	leader.ObjectMeta = controlled(leader.ObjectMeta, "leader-1", "leaders")
	leaders := &appsv1.StatefulSet{ObjectMeta: revisionOf(controlled(part("llama"), "leaders", "set"), "abc")}
	workers := &appsv1.StatefulSet{
		ObjectMeta: revisionOf(controlled(part("llama-1", "group-index", "1"), "workers-1", "leader-1"), "abc"),
	}
	whole := workers.DeepCopy()
	whole.Spec.Template.Spec.NodeName = "n1"
	replaced := whole.DeepCopy()
	replaced.UID = "another"
	revision := &appsv1.ControllerRevision{ObjectMeta: revisionOf(part("llama-abc-1"), "abc")}
	for _, tc := range []struct {
		name   string
		cached []client.Object
		live   []client.Object
		want   bool
	}{
		{"the revision was deleted", []client.Object{lws, leader, leaders, workers}, []client.Object{whole}, true},
		{"the revision exists", []client.Object{lws, leader, leaders, workers, revision}, []client.Object{whole}, false},
		{"there are no workers", []client.Object{lws, leader, leaders}, []client.Object{whole}, false},
		{"the workers were replaced", []client.Object{lws, leader, leaders, workers}, []client.Object{replaced}, false},
		{"the workers were deleted", []client.Object{lws, leader, leaders, workers}, nil, false},
		{"it is another set's", []client.Object{setOfSize(2, 2), leader, leaders, workers}, []client.Object{whole}, false},
	} {
		observed, err := (&observer{Reader: cacheOf(t, tc.cached...), live: cacheOf(t, tc.live...)}).set(t.Context(), llama)
		if err != nil {
			t.Fatal(err)
		}
		got := observed.LostWorkers
		if (got != nil) != tc.want || (got != nil && got.Spec.Template.Spec.NodeName != "n1") {
			t.Errorf("%s: got %v", tc.name, got)
		}
	}
}
