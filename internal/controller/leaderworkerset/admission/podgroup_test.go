// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

func withPodGroups() scheduling.Features {
	return scheduling.Features{Provider: scheduling.Kubernetes, PodGroups: scheduling.Versions()[0]}
}

// newGangLeader returns a leader whose set asks for gangs, and its StatefulSet.
func newGangLeader() (*corev1.Pod, *appsv1.StatefulSet) {
	leader := newLeaderPod()
	leader.Annotations[leaderworkersetv1.SchedulingGroupAnnotationKey] = string(scheduling.Replica)
	return leader, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Name: "a", Namespace: "default",
		OwnerReferences: []metav1.OwnerReference{{Kind: "LeaderWorkerSet", Name: "a", Controller: ptr.To(true)}},
	}}
}

// TestLeadersJoinPodGroups creates leaders. Each request gives another PodGroup, and the webhook may be called again
// for the same request.
func TestLeadersJoinPodGroups(t *testing.T) {
	leader, leaders := newGangLeader()
	webhook := newPodWebhook(t, leaders)
	webhook.features = withPodGroups
	admitted := func(pod *corev1.Pod, request types.UID) string {
		t.Helper()
		if _, err := webhook.admit(t.Context(), pod, request); err != nil {
			t.Fatal(err)
		}
		return scheduling.NameOf(pod)
	}
	first := leader.DeepCopy()
	name := admitted(first, "request-1")
	if name != scheduling.Name("a-0", "request-1") || admitted(first, "request-2") != name {
		t.Errorf("the leader is in PodGroup %q, and then in %q", name, scheduling.NameOf(first))
	}
	if other := admitted(leader.DeepCopy(), "request-3"); other == name {
		t.Errorf("two leaders are in PodGroup %s", name)
	}
	leader.Annotations[leaderworkersetv1.SchedulingGroupAnnotationKey] = ""
	if name := admitted(leader, "request-4"); name != "" {
		t.Errorf("a leader of a set without gangs is in PodGroup %s", name)
	}
}

// TestLeadersWithoutProvider creates a leader whose set asks for gangs, while nothing can schedule gangs.
func TestLeadersWithoutProvider(t *testing.T) {
	leader, leaders := newGangLeader()
	webhook := newPodWebhook(t, leaders)
	webhook.features = scheduling.NoFeatures
	_, err := webhook.admit(t.Context(), leader, "request")
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "scheduling.provider is None") {
		t.Errorf("the leader isn't rejected: %v", err)
	}
	if _, err := newPodWebhook(t).admit(t.Context(), leader, "request"); err != nil || leader.Spec.SchedulingGroup != nil {
		t.Errorf("a leader without its StatefulSet: %v, %v", leader.Spec.SchedulingGroup, err)
	}
}

// TestGangsWithoutProvider creates sets that ask for gangs.
func TestGangsWithoutProvider(t *testing.T) {
	c := newCluster(t, interceptor.Funcs{})
	decoder := ctrladmission.NewDecoder(c.Scheme())
	defaults := ctrladmission.WithDefaulter(c.Scheme(), newWebhook(t, interceptor.Funcs{})).Handler
	for _, tc := range []struct {
		features func() scheduling.Features
		old      string
		wants    string
	}{
		{scheduling.NoFeatures, "", "spec.scheduling: Forbidden: the operator has no provider for gang scheduling"},
		{scheduling.NoFeatures, `{"scheduling": {}}`, ""},
		{
			func() scheduling.Features { return scheduling.Features{Provider: scheduling.Kubernetes} }, "",
			"spec.scheduling: Forbidden: the API server doesn't serve PodGroups",
		},
		{withPodGroups, "", ""},
	} {
		request := admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: setWithSpec("", `{"scheduling": {}}`)}
		if tc.old != "" {
			request.Operation, request.OldObject = admissionv1.Update, setWithSpec("", tc.old)
		}
		response := explainsUnsupported{decoder, tc.features, defaults}.Handle(
			t.Context(), ctrladmission.Request{AdmissionRequest: request})
		if response.Allowed != (tc.wants == "") ||
			(!response.Allowed && !strings.Contains(response.Result.Message, tc.wants)) {
			t.Errorf("got %+v, want %q", response, tc.wants)
		}
	}
}

// TestCheckPodGroups creates a set in a cluster that drops fields of PodGroups, or refuses them.
func TestCheckPodGroups(t *testing.T) {
	lws := newSet("a", 1, 2)
	lws.Spec.Scheduling = &leaderworkersetv1.Scheduling{Replica: &leaderworkersetv1.ReplicaScheduling{
		SchedulingConstraints: &leaderworkersetv1.SchedulingConstraints{
			Topology: []leaderworkersetv1.TopologyConstraint{{Key: "rack"}},
		},
	}}
	stores := func(change func(*unstructured.Unstructured) error) interceptor.Funcs {
		return interceptor.Funcs{Create: func(
			_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption,
		) error {
			if podGroup, ok := object.(*unstructured.Unstructured); ok {
				return change(podGroup)
			}
			return nil
		}}
	}
	for title, tc := range map[string]struct {
		answer func(*unstructured.Unstructured) error
		wants  string
	}{
		"stored": {func(*unstructured.Unstructured) error { return nil }, ""},
		"dropped": {
			func(podGroup *unstructured.Unstructured) error {
				unstructured.RemoveNestedField(podGroup.Object, "spec", "schedulingConstraints")
				return nil
			},
			"spec.scheduling.replica.schedulingConstraints: Forbidden: the API server drops the field: it needs the feature " +
				"gate TopologyAwareWorkloadScheduling",
		},
		"refused": {
			func(*unstructured.Unstructured) error {
				err := apierrors.NewInvalid(scheduling.Kind("").GroupKind(), "a", nil)
				err.ErrStatus.Details.Causes = []metav1.StatusCause{{
					Field: "spec.schedulingConstraints", Message: "Forbidden: no",
				}}
				return err
			},
			"spec.scheduling.replica.schedulingConstraints: Forbidden: no",
		},
		"another error": {func(*unstructured.Unstructured) error { return apierrors.NewTooManyRequestsError("") }, ""},
	} {
		webhook := newWebhook(t, stores(tc.answer))
		webhook.features = withPodGroups
		_, err := webhook.ValidateCreate(t.Context(), lws)
		if (err == nil) != (tc.wants == "") || (err != nil && !strings.Contains(err.Error(), tc.wants)) {
			t.Errorf("%s: %v, want %q", title, err, tc.wants)
		}
	}
}
