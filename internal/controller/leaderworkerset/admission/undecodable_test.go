// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// TestUndecodable sends sets that can't be decoded to both webhooks.
func TestUndecodable(t *testing.T) {
	c := newCluster(t, interceptor.Funcs{})
	sets, decoder := newWebhook(t, interceptor.Funcs{}), ctrladmission.NewDecoder(c.Scheme())
	defaults := explainsUnsupported{decoder, scheduling.NoFeatures, ctrladmission.WithDefaulter(c.Scheme(), sets).Handler}
	validation := undecodableValidation{decoder, ctrladmission.WithValidator(c.Scheme(), sets).Handler}
	const good, bad = "1", "4 cores"
	for _, tc := range []struct {
		name            string
		operation       admissionv1.Operation
		old, cpu        string
		patched, passes bool
	}{
		{"good creation", admissionv1.Create, "", good, true, true},
		{"bad creation", admissionv1.Create, "", bad, false, false},
		{"good update", admissionv1.Update, good, good, true, true},
		{"update that breaks the set", admissionv1.Update, good, bad, false, false},
		{"update that repairs the set", admissionv1.Update, bad, good, true, true},
		{"update of a bad set", admissionv1.Update, bad, bad, false, true},
	} {
		request := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Operation: tc.operation, Object: setWithCPU(tc.cpu), OldObject: setWithCPU(tc.old),
		}}
		mutated := defaults.Handle(t.Context(), request)
		if !mutated.Allowed || (len(mutated.Patches) > 0) != tc.patched {
			t.Errorf("%s: got %+v, want it to pass, with a patch: %t", tc.name, mutated, tc.patched)
		}
		if validated := validation.Handle(t.Context(), request); validated.Allowed != tc.passes {
			t.Errorf("%s: got %+v, want it to pass: %t", tc.name, validated, tc.passes)
		}
	}
}

// setWithCPU returns the JSON of a set whose pods have a limit of CPU.
func setWithCPU(cpu string) runtime.RawExtension {
	const set = `{"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": {"name": "a"},
		"spec": {"leaderWorkerTemplate": {"workerTemplate": {"spec": {"containers": [
			{"name": "main", "image": "serve:1", "resources": {"limits": {"cpu": %q}}}]}}}}}`
	return runtime.RawExtension{Raw: fmt.Appendf(nil, set, cpu)}
}
