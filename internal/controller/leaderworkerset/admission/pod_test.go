// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// newLeaderPod returns a leader pod as the StatefulSet controller creates it.
func newLeaderPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      "a-0",
			Namespace: "default",
			Labels: map[string]string{
				leaderworkersetv1.SetNameLabelKey: "a", leaderworkersetv1.WorkerIndexLabelKey: "0",
			},
			Annotations:     map[string]string{leaderworkersetv1.SizeAnnotationKey: "1"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "a", Controller: ptr.To(true)}},
		},
		Spec: corev1.PodSpec{Subdomain: "a", Containers: []corev1.Container{{Name: "main"}}},
	}
}

// newPodWebhook returns a webhook in a cluster with these objects.
func newPodWebhook(tb testing.TB, objects ...client.Object) podWebhook {
	tb.Helper()
	cluster := newCluster(tb, interceptor.Funcs{}, objects...)
	return podWebhook{decoder: ctrladmission.NewDecoder(cluster.Scheme()), live: cluster, options: DefaultOptions()}
}

// newRequest returns a request to create a pod in the namespace "default".
func newRequest(tb testing.TB, pod *corev1.Pod) ctrladmission.Request {
	tb.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		tb.Fatal(err)
	}
	return ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "default", Object: runtime.RawExtension{Raw: raw},
	}}
}

// withUnknownFields returns a request by an API server that is newer than this operator. It adds fields that the
// operator doesn't know, some of them beside fields that the operator changes.
func withUnknownFields(request ctrladmission.Request) ctrladmission.Request {
	request.Object.Raw = []byte(strings.NewReplacer(
		`"valueFrom":{}`, `"valueFrom":{"newSource":{"name":"s"}}`,
		`"topologyKey":"zone"`, `"topologyKey":"zone","newTermField":1`,
		`"name":"example.com/quota"`, `"name":"example.com/quota","newGateField":true`,
		`"status":{}`, `"newField":{}`,
	).Replace(string(request.Object.Raw)))
	return request
}

// TestPatch applies the answer to a request as the API server does. The result is the pod that admit left. Fields that
// are newer than this operator stay.
func TestPatch(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"nothing special":        func(*corev1.Pod) {},
		"no namespace":           func(pod *corev1.Pod) { pod.Namespace = "" },
		"a pod without an owner": func(pod *corev1.Pod) { pod.OwnerReferences = nil },
		"a subdomain of its own": func(pod *corev1.Pod) {
			pod.Annotations[leaderworkersetv1.SubdomainPolicyAnnotationKey] = "UniquePerReplica"
		},
		"several containers": func(pod *corev1.Pod) {
			a, b := []corev1.EnvVar{{Name: "A", Value: "1"}}, []corev1.EnvVar{{Name: "B", Value: "2"}}
			pod.Spec.InitContainers = []corev1.Container{{Name: "first"}, {Name: "second", Env: a}}
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "other", Env: b})
		},
		"gated, with exclusive placement": func(pod *corev1.Pod) {
			pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] = "rack"
		},
		"gated, with the user's gate, affinity and source of a variable": func(pod *corev1.Pod) {
			pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] = "rack"
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
			zone := corev1.PodAffinityTerm{TopologyKey: "zone"}
			pod.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{zone},
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
					{Weight: 1, PodAffinityTerm: zone},
				},
			}}
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{}}}
		},
		"a user's variable of an injected name": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Env = []corev1.EnvVar{
				{Name: "A", ValueFrom: &corev1.EnvVarSource{}},
				{Name: leaderworkersetv1.GroupSizeEnvVar, Value: "7"},
				{Name: "B", Value: "2"},
			}
		},
		"a TPU": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"google.com/tpu": resource.MustParse("4")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := newLeaderPod()
			change(pod)
			key := map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey("default", pod.Name)}
			previous := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a-0-1", Namespace: "default", Labels: key}}
			webhook := newPodWebhook(t, previous)
			request := withUnknownFields(newRequest(t, pod))
			response := webhook.Handle(t.Context(), request)
			if !response.Allowed {
				t.Fatal(response.Result)
			}
			operations, err := json.Marshal(response.Patches)
			if err != nil {
				t.Fatal(err)
			}
			patch, err := jsonpatch.DecodePatch(operations)
			if err != nil {
				t.Fatal(err)
			}
			patched, err := patch.Apply(request.Object.Raw)
			if err != nil {
				t.Fatal(err)
			}

			pod.Namespace = "default"
			if _, err := webhook.admit(t.Context(), pod, ""); err != nil {
				t.Fatal(err)
			}
			pod.Namespace = "" // The answer need not set it.
			expected := withUnknownFields(newRequest(t, pod)).Object.Raw
			var want, got unstructured.Unstructured
			if err := errors.Join(json.Unmarshal(patched, &got.Object), json.Unmarshal(expected, &want.Object)); err != nil {
				t.Fatal(err)
			}
			got.SetNamespace("")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
		})
	}
}

// failGets answers every read of one object with the error.
func failGets(err error) interceptor.Funcs {
	return interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return err
		},
	}
}

func failLists(err error) interceptor.Funcs {
	return interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
	}
}

func TestRejections(t *testing.T) {
	malformed := newLeaderPod()
	malformed.Annotations = nil
	rejection := newPodWebhook(t).Handle(t.Context(), newRequest(t, malformed))
	if rejection.Allowed || rejection.Result.Reason != metav1.StatusReasonBadRequest {
		t.Errorf("malformed pod: got %v, want a bad request", rejection)
	}
	noPod := newRequest(t, nil)
	noPod.Object.Raw = []byte("[]")
	rejection = newPodWebhook(t).Handle(t.Context(), noPod)
	if rejection.Allowed || rejection.Result.Code != http.StatusBadRequest {
		t.Errorf("no pod: got %v, want a bad request", rejection)
	}
	webhook := newPodWebhook(t)
	webhook.live = newCluster(t, failGets(errors.New("no route to host")))
	rejection = webhook.Handle(t.Context(), newRequest(t, newLeaderPod()))
	if rejection.Allowed || rejection.Result.Code != http.StatusInternalServerError {
		t.Errorf("API server out of reach: got %v, want an internal error", rejection)
	}
}

func TestOtherPodsStayAsTheyAre(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"a copy for debugging":       func(p *corev1.Pod) { p.OwnerReferences = nil },
		"a pod of something else":    func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet" },
		"a pod without a controller": func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil },
		"a pod without the label":    func(p *corev1.Pod) { p.Labels = nil },
	} {
		pod := newLeaderPod()
		change(pod)
		before := pod.DeepCopy()
		if patch, err := newPodWebhook(t).admit(t.Context(), pod, ""); err != nil || len(patch) > 0 {
			t.Errorf("%s: got error %v and operations %v, want neither", name, err, patch)
		}
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
}

// releasedBelowPartition returns a leader StatefulSet in a rolling update to revision "new". Its partition is 3. Group
// 0 is released as well, and group 4 is deferred.
func releasedBelowPartition() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:      "a",
			Namespace: "default",
			UID:       "leaders",
			OwnerReferences: []metav1.OwnerReference{
				{Kind: "LeaderWorkerSet", Name: "a", UID: "set", Controller: ptr.To(true)},
			},
			Annotations: map[string]string{leaderworkersetv1.AheadAnnotationKey: `{"partition":3,"groups":[0],"deferred":[4]}`},
		},
		Spec: appsv1.StatefulSetSpec{
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{
				Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: "new"},
			}},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
		},
		Status: appsv1.StatefulSetStatus{CurrentRevision: "a-old"},
	}
}

func TestLeadersFollowTheRelease(t *testing.T) {
	leaders := releasedBelowPartition()
	for _, tc := range []struct {
		pod, revision string
		rejected      bool
	}{
		{pod: "a-0", revision: "old", rejected: true},
		{pod: "a-0", revision: "new"},
		{pod: "a-2", revision: "old"},
		{pod: "a-2", revision: "new", rejected: true},
		{pod: "a-3", revision: "old", rejected: true},
		{pod: "a-3", revision: "new"},
		{pod: "a-4", revision: "new", rejected: true},
	} {
		pod := newLeaderPod()
		pod.Name, pod.OwnerReferences[0].UID = tc.pod, leaders.UID
		pod.Labels[leaderworkersetv1.RevisionLabelKey] = tc.revision
		pod.Labels[appsv1.StatefulSetRevisionLabel] = "a-" + tc.revision
		if _, err := newPodWebhook(t, leaders).admit(t.Context(), pod, ""); apierrors.IsConflict(err) != tc.rejected {
			t.Errorf("%s at revision %s: got %v, want a conflict: %t", tc.pod, tc.revision, err, tc.rejected)
		}
	}
}

// TestWhereReleasesAreRead has a cache and an API server. Only one of them has the release that rejects the leader.
func TestWhereReleasesAreRead(t *testing.T) {
	leader, leaders := newLeaderPod(), releasedBelowPartition()
	leader.OwnerReferences[0].UID = leaders.UID
	elected, waiting := make(chan struct{}), make(chan struct{})
	close(elected)
	with, without := newCluster(t, interceptor.Funcs{}, leaders), newCluster(t, interceptor.Funcs{})
	late := newCluster(t, failGets(context.DeadlineExceeded))
	for _, tc := range []struct {
		name     string
		webhook  podWebhook
		rejected bool
	}{
		{"the leading replica reads its cache", podWebhook{live: without, cached: with, elected: elected}, true},
		{"the leading replica reads nothing else", podWebhook{live: with, cached: without, elected: elected}, false},
		{"the leading replica has a late cache", podWebhook{live: with, cached: late, elected: elected}, true},
		{"another replica asks the API server", podWebhook{live: with, cached: without, elected: waiting}, true},
		{"another replica doesn't read its cache", podWebhook{live: without, cached: with, elected: waiting}, false},
	} {
		tc.webhook.options = DefaultOptions()
		if _, err := tc.webhook.admit(t.Context(), leader.DeepCopy(), ""); apierrors.IsConflict(err) != tc.rejected {
			t.Errorf("%s: got %v, want a conflict: %t", tc.name, err, tc.rejected)
		}
	}
}

// TestLeadersWaitForTheirRestart has leaders of a group that crashed before, and of one that didn't.
func TestLeadersWaitForTheirRestart(t *testing.T) {
	elected := make(chan struct{})
	close(elected)
	leaders := releasedBelowPartition()
	leaders.Annotations = map[string]string{leaderworkersetv1.GroupRecordAnnotationKey: `{"0":{"restarts":1}}`}
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}
	for _, tc := range []struct {
		name, leader string
		exists       []client.Object
		late         bool
		want         bool
	}{
		{"it crashed before", "a-0", []client.Object{leaders, lws}, false, true},
		{"it didn't", "a-1", []client.Object{leaders, lws}, false, false},
		{"the set was deleted", "a-0", []client.Object{leaders}, false, false},
		{"the StatefulSet was deleted", "a-0", []client.Object{lws}, false, false},
		{"the cache is late", "a-0", []client.Object{leaders, lws}, true, true},
	} {
		pod, webhook := newLeaderPod(), newPodWebhook(t, tc.exists...)
		webhook.cached, webhook.elected = webhook.live, elected
		if tc.late {
			webhook.cached = newCluster(t, failGets(context.DeadlineExceeded))
		}
		pod.Name = tc.leader
		for call := range 2 { // The API server may call again.
			patch, err := webhook.admit(t.Context(), pod, "")
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			if call == 1 && len(patch) > 0 {
				t.Errorf("%s: a second call answers with operations %v, want none", tc.name, patch)
			}
		}
		if got := snapshot.WaitsForRestart(pod); got != tc.want {
			t.Errorf("%s: the leader waits: %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestLeadersWaitForTheirPreviousGroup has leaders beside pods of their group's previous incarnation. Exclusive
// affinity would bind a leader to those that terminate.
func TestLeadersWaitForTheirPreviousGroup(t *testing.T) {
	previous := func(namespace, leader string) *corev1.Pod {
		key := map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey(namespace, leader)}
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: leader + "-1", Namespace: namespace, Labels: key}}
	}
	terminating := func(leader string) *corev1.Pod {
		pod := previous("default", leader)
		pod.DeletionTimestamp, pod.Finalizers = ptr.To(metav1.Now()), []string{"example.com/kept"}
		return pod
	}
	exclusive := func(pod *corev1.Pod) { pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] = "rack" }
	shared := func(pod *corev1.Pod) { pod.Annotations[leaderworkersetv1.ShareTopologyAnnotationKey] = "rack" }
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
		{"not exclusive", func(*corev1.Pod) {}, previous("default", "a-0"), []corev1.PodSchedulingGate{own}},
		{"not exclusive, and previous pods terminate", func(*corev1.Pod) {}, terminating("a-0"), nil},
		{"exclusive, and previous pods terminate", exclusive, terminating("a-0"), []corev1.PodSchedulingGate{own}},
		{"shared topology, and previous pods terminate", shared, terminating("a-0"), []corev1.PodSchedulingGate{own}},
		{"another gate", func(pod *corev1.Pod) {
			exclusive(pod)
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{other}
		}, previous("default", "a-0"), []corev1.PodSchedulingGate{other, own}},
		{"a node name", func(pod *corev1.Pod) {
			exclusive(pod)
			pod.Spec.NodeName = "node"
		}, previous("default", "a-0"), nil},
		{
			"exclusive subgroups", subGroup(leaderworkersetv1.SubGroupPolicyTypeLeaderWorker),
			previous("default", "a-0"), []corev1.PodSchedulingGate{own},
		},
		{
			"exclusive subgroups without the leader", subGroup(leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded),
			previous("default", "a-0"), []corev1.PodSchedulingGate{own},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leaders := releasedBelowPartition()
			leaders.Annotations = nil
			pod, webhook := newLeaderPod(), newPodWebhook(t, tc.exists, leaders)
			tc.change(pod)
			for call := range 2 { // The API server may call again.
				patch, err := webhook.admit(t.Context(), pod, "")
				if err != nil {
					t.Fatal(err)
				}
				if call == 1 && len(patch) > 0 {
					t.Errorf("a second call answers with operations %v, want none", patch)
				}
				if diff := cmp.Diff(tc.want, pod.Spec.SchedulingGates); diff != "" {
					t.Errorf("gates (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestWherePreviousPodsAreRead has a cache and an API server. Only one of them shows a pod of the previous incarnation.
func TestWherePreviousPodsAreRead(t *testing.T) {
	elected := make(chan struct{})
	close(elected)
	leader := newLeaderPod()
	leader.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] = identity.GroupKey("default", leader.Name)
	worker := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: leader.Name + "-1", Namespace: "default", Labels: leader.Labels,
	}}
	exclusive := leader.DeepCopy()
	metav1.SetMetaDataAnnotation(&exclusive.ObjectMeta, leaderworkersetv1.ExclusiveKeyAnnotationKey, "rack")
	with, without := newCluster(t, interceptor.Funcs{}, worker), newCluster(t, interceptor.Funcs{})
	late := newCluster(t, failLists(context.DeadlineExceeded))
	for _, tc := range []struct {
		name    string
		leader  *corev1.Pod
		webhook podWebhook
	}{
		{"the leading replica reads its cache", leader, podWebhook{live: without, cached: with, elected: elected}},
		{"the leading replica has a late cache", leader, podWebhook{live: with, cached: late, elected: elected}},
		{"another replica asks the API server", leader, podWebhook{live: with, cached: without}},
		{"exclusive placement asks the API server", exclusive, podWebhook{live: with, cached: without, elected: elected}},
	} {
		tc.webhook.options = DefaultOptions()
		previous, err := tc.webhook.previousPods(t.Context(), tc.leader)
		if err != nil || len(previous) != 1 {
			t.Errorf("%s: got %d pods and error %v, want 1 pod", tc.name, len(previous), err)
		}
	}
}

// TestLeadersThatNobodyManages has a leader StatefulSet whose set was deleted without it. No pass would end the wait of
// a leader: it is admitted, and isn't gated.
func TestLeadersThatNobodyManages(t *testing.T) {
	leaders, leader := releasedBelowPartition(), newLeaderPod()
	leaders.OwnerReferences = nil
	leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey] = `{"4":{"restarts":1}}`
	leader.Name, leader.OwnerReferences[0].UID = "a-4", leaders.UID // It is deferred.
	worker := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "a-4-1", Namespace: "default",
		Labels: map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey("default", "a-4")},
	}}
	if _, err := newPodWebhook(t, leaders, worker).admit(t.Context(), leader, ""); err != nil {
		t.Errorf("the leader is rejected: %v", err)
	}
	if gates := leader.Spec.SchedulingGates; len(gates) > 0 {
		t.Errorf("the leader waits for %v", gates)
	}
}
