// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// FuzzPodRequest answers requests to create any pods. A request is refused with a reason, or its pod is patched. The
// API server may call the webhook again for the patched pod, and nothing is left to patch.
func FuzzPodRequest(f *testing.F) {
	tpu := newServingPod("worker", false)
	tpu.Spec.Containers[0].Resources.Limits = corev1.ResourceList{
		leaderworkersetv1.TPUResourceName: resource.MustParse("4"),
	}
	for _, pod := range []*corev1.Pod{
		newLeaderPod(), newServingPod("leader", true), newServingPod("worker", true), tpu,
	} {
		f.Add(rawOf(f, pod))
	}
	webhook := newPodWebhook(f)
	webhook.live = previousPod{}
	f.Fuzz(func(t *testing.T, text []byte) {
		pod := &corev1.Pod{}
		if json.Unmarshal(text, pod) != nil {
			return // The API server doesn't take it for a pod.
		}
		raw, err := json.Marshal(pod)
		if err != nil {
			return
		}
		patched, ok := patchedBy(t, webhook, podRequest(raw))
		if !ok {
			return
		}
		again, ok := patchedBy(t, webhook, podRequest(patched))
		if !ok {
			t.Fatalf("the patched pod is refused: %s", patched)
		}
		if !jsonpatch.Equal(patched, again) {
			t.Errorf("the patched pod %s is patched again, to %s", patched, again)
		}
	})
}

// FuzzSetRequest answers requests to create sets of any JSON, and to update one set to another. A request is refused
// with a reason, or admitted. A set that has its defaults gets no others.
func FuzzSetRequest(f *testing.F) {
	plain, large := newSet("a", 1, 1), newSet("a", 1000000, 1000)
	f.Add(rawOf(f, plain), rawOf(f, large))
	for _, spec := range []string{
		`{}`, `{"replicas":null,"rolloutStrategy":null,"leaderWorkerTemplate":{"size":null,"subGroupPolicy":{}}}`,
		`{"leaderWorkerTemplate":{"restartPolicy":"Default","workerTemplate":{"metadata":{"creationTimestamp":null}}}}`,
		`{"rolloutStrategy":{"rollingUpdateConfiguration":{"maxSurge":"1000%","maxUnavailable":"-1%","partition":-1}}}`,
		`{"networkConfig":{"subdomainPolicy":"UniquePerReplica"},"groupIdentity":"Hash","scheduling":{"replica":{}}}`,
	} {
		f.Add([]byte(`{"metadata":{"name":"a","namespace":"default"},"spec":`+spec+`}`), rawOf(f, plain))
	}
	_, answers := newHandlers(f, plain, 1)
	f.Fuzz(func(t *testing.T, before, after []byte) {
		var object map[string]any
		if json.Unmarshal(after, &object) != nil {
			return // The API server doesn't take it for an object.
		}
		after, err := json.Marshal(object) // Without fields that are there twice.
		if err != nil {
			t.Fatal(err)
		}
		creation := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Operation: admissionv1.Create, Namespace: "default", Object: runtime.RawExtension{Raw: after},
		}}
		update := *creation.DeepCopy()
		update.Operation, update.OldObject.Raw = admissionv1.Update, before
		for _, request := range []ctrladmission.Request{creation, {AdmissionRequest: update}} {
			defaulted, ok := patchedBy(t, answers[setDefaultsPath], request)
			if !ok {
				continue
			}
			request.Object.Raw = defaulted
			again, ok := patchedBy(t, answers[setDefaultsPath], request)
			if !ok || !jsonpatch.Equal(defaulted, again) {
				t.Errorf("the defaults of %s are filled in again: %s", defaulted, again)
			}
			patchedBy(t, answers[setValidationPath], request)
		}
	})
}

func rawOf(f *testing.F, object runtime.Object) []byte {
	f.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

func podRequest(raw []byte) ctrladmission.Request {
	return ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "1", Operation: admissionv1.Create, Namespace: "default", Object: runtime.RawExtension{Raw: raw},
	}}
}

// patchedBy returns the object of a request as the answer changes it. ok is false if the request is refused. A refusal
// without a reason, and a patch that doesn't apply, fail the test.
func patchedBy(
	t *testing.T, handler ctrladmission.Handler, request ctrladmission.Request,
) (patched []byte, ok bool) {
	t.Helper()
	response := handler.Handle(t.Context(), request)
	if err := response.Complete(request); err != nil {
		t.Fatal(err)
	}
	if !response.Allowed {
		if response.Result == nil || response.Result.Message == "" {
			t.Fatalf("%s is refused without a reason: %+v", request.Object.Raw, response.Result)
		}
		return nil, false
	}
	if len(response.Patch) == 0 {
		return request.Object.Raw, true
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err = patch.Apply(request.Object.Raw)
	if err != nil {
		t.Fatalf("the patch %s of %s: %v", response.Patch, request.Object.Raw, err)
	}
	return patched, true
}
