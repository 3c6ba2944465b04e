// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/identity"
)

// newLeaderPod is a pod as the StatefulSet controller creates it.
func newLeaderPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "a-0",
			Namespace:       "default",
			Labels:          map[string]string{leaderworkersetv1.SetNameLabelKey: "a", leaderworkersetv1.WorkerIndexLabelKey: "0"},
			Annotations:     map[string]string{leaderworkersetv1.SizeAnnotationKey: "1"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "a", Controller: ptr.To(true)}},
		},
		Spec: corev1.PodSpec{Subdomain: "a", Containers: []corev1.Container{{Name: "main"}}},
	}
}

// newPodWebhook is one in a cluster with these objects.
func newPodWebhook(objects ...client.Object) podWebhook {
	return podWebhook{live: fake.NewClientBuilder().WithObjects(objects...).Build()}
}

func TestPodsOfStatefulSetsAreInjected(t *testing.T) {
	for _, namespace := range []string{"default", ""} {
		pod := newLeaderPod()
		pod.Namespace = namespace
		request := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "default"}}
		if err := newPodWebhook().Default(ctrladmission.NewContextWithRequest(t.Context(), request), pod); err != nil {
			t.Fatal(err)
		}
		want := corev1.EnvVar{Name: leaderworkersetv1.LeaderAddressEnvVar, Value: "a-0.a.default"}
		if diff := cmp.Diff(want, pod.Spec.Containers[0].Env[0]); diff != "" {
			t.Errorf("namespace %q: first variable (-want +got):\n%s", namespace, diff)
		}
	}
}

func TestOtherPodsAreLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"a copy to debug":             func(p *corev1.Pod) { p.OwnerReferences = nil },
		"a pod of something else":     func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet" },
		"a pod that is owned loosely": func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil },
		"a pod without the label":     func(p *corev1.Pod) { p.Labels = nil },
	} {
		pod := newLeaderPod()
		change(pod)
		before := pod.DeepCopy()
		if err := newPodWebhook().Default(t.Context(), pod); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
}

func TestMalformedPodsAreRefused(t *testing.T) {
	pod := newLeaderPod()
	pod.Annotations = nil
	if err := newPodWebhook().Default(t.Context(), pod); !apierrors.IsBadRequest(err) {
		t.Errorf("got %v, want a bad request", err)
	}
}

// TestLeadersComeInOrder has a rolling update to revision "new" with group 0 ahead of the partition.
func TestLeadersComeInOrder(t *testing.T) {
	leaders := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "a",
			Namespace:   "default",
			UID:         "leaders",
			Labels:      map[string]string{leaderworkersetv1.RevisionLabelKey: "new"},
			Annotations: map[string]string{leaderworkersetv1.AheadAnnotationKey: `{"partition":3,"groups":[0]}`},
		},
		Spec:   appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}},
		Status: appsv1.StatefulSetStatus{CurrentRevision: "a-old"},
	}
	for _, tc := range []struct {
		pod, revision string
		refused       bool
	}{
		{pod: "a-0", revision: "old", refused: true},
		{pod: "a-0", revision: "new"},
		{pod: "a-2", revision: "old"},
		{pod: "a-2", revision: "new", refused: true},
		{pod: "a-3", revision: "new"},
	} {
		pod := newLeaderPod()
		pod.Name, pod.OwnerReferences[0].UID = tc.pod, leaders.UID
		pod.Labels[leaderworkersetv1.RevisionLabelKey] = tc.revision
		pod.Labels[appsv1.StatefulSetRevisionLabel] = "a-" + tc.revision
		if err := newPodWebhook(leaders).Default(t.Context(), pod); apierrors.IsConflict(err) != tc.refused {
			t.Errorf("%s at revision %s: got %v, want a conflict: %t", tc.pod, tc.revision, err, tc.refused)
		}
	}
}

// TestLeadersWaitForTheirPreviousGroup holds back leaders whose affinity would bind them to pods of their group that are still there.
func TestLeadersWaitForTheirPreviousGroup(t *testing.T) {
	previous := func(namespace, leader string) *corev1.Pod {
		key := map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey(namespace, leader)}
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: leader + "-1", Namespace: namespace, Labels: key}}
	}
	exclusive := func(pod *corev1.Pod) { pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] = "rack" }
	subGroup := func(policy leaderworkersetv1.SubGroupPolicyType) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Annotations[leaderworkersetv1.SizeAnnotationKey] = "3"
			pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey] = "2"
			pod.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey] = string(policy)
			pod.Annotations[leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey] = "rack"
		}
	}
	own := corev1.PodSchedulingGate{Name: leaderworkersetv1.PreviousGroupSchedulingGate}
	other := corev1.PodSchedulingGate{Name: "example.com/quota"}
	for _, tc := range []struct {
		name   string
		change func(*corev1.Pod)
		exists *corev1.Pod
		want   []corev1.PodSchedulingGate
	}{
		{"previous pods", exclusive, previous("default", "a-0"), []corev1.PodSchedulingGate{own}},
		{"pods of another group", exclusive, previous("default", "a-1"), nil},
		{"pods of another namespace", exclusive, previous("other", "a-0"), nil},
		{"not exclusive", func(*corev1.Pod) {}, previous("default", "a-0"), nil},
		{"another gate", func(pod *corev1.Pod) {
			exclusive(pod)
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{other}
		}, previous("default", "a-0"), []corev1.PodSchedulingGate{other, own}},
		{"a node of its own", func(pod *corev1.Pod) { exclusive(pod); pod.Spec.NodeName = "node" }, previous("default", "a-0"), nil},
		{"exclusive subgroups", subGroup(leaderworkersetv1.SubGroupPolicyTypeLeaderWorker), previous("default", "a-0"), []corev1.PodSchedulingGate{own}},
		{"exclusive subgroups without the leader", subGroup(leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded), previous("default", "a-0"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pod, webhook := newLeaderPod(), newPodWebhook(tc.exists)
			tc.change(pod)
			for range 2 { // The API server may ask again.
				if err := webhook.Default(t.Context(), pod); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, pod.Spec.SchedulingGates); diff != "" {
					t.Errorf("gates (-want +got):\n%s", diff)
				}
			}
		})
	}
}
