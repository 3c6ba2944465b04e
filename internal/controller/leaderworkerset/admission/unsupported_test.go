// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// TestUnsupported sends sets to the webhook that ask for what only other controllers do.
func TestUnsupported(t *testing.T) {
	c := newCluster(t, interceptor.Funcs{})
	decoder := ctrladmission.NewDecoder(c.Scheme())
	defaults := ctrladmission.WithDefaulter(c.Scheme(), newWebhook(t, interceptor.Funcs{})).Handler
	handler := explainsUnsupported{decoder, scheduling.NoFeatures, defaults}
	const deleted = `"deletionTimestamp": "2026-01-01T00:00:00Z"`
	for _, tc := range []struct {
		name             string
		operation        admissionv1.Operation
		metadata         string
		old, spec, wants string
	}{
		{"no field", admissionv1.Create, "", "", `{}`, ""},
		{"defaults", admissionv1.Create, "", "", `{"groupIdentity": "Ordinal", "podTerminationPolicy": "Default"}`, ""},
		{"creation", admissionv1.Create, "", "", `{"groupIdentity": "Hash"}`, "spec.groupIdentity: Invalid value"},
		{"new value", admissionv1.Update, "", `{}`, `{"scheduling": {}}`, "spec.scheduling: Forbidden"},
		{
			"other value", admissionv1.Update, "", `{"groupIdentity": "Hash"}`, `{"groupIdentity": "Random"}`,
			"spec.groupIdentity: Invalid value",
		},
		{"same value", admissionv1.Update, "", `{"groupIdentity": "Hash"}`, `{"groupIdentity": "Hash"}`, ""},
		{"value taken back", admissionv1.Update, "", `{"groupIdentity": "Hash"}`, `{"groupIdentity": "Ordinal"}`, ""},
		{"of a deleted set", admissionv1.Update, deleted, `{}`, `{"groupIdentity": "Hash"}`, ""},
	} {
		response := handler.Handle(t.Context(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Operation: tc.operation, Object: setWithSpec(tc.metadata, tc.spec), OldObject: setWithSpec(tc.metadata, tc.old),
		}})
		if response.Allowed != (tc.wants == "") {
			t.Errorf("%s: got %+v, want an error: %q", tc.name, response, tc.wants)
		}
		if !response.Allowed && !strings.Contains(response.Result.Message, tc.wants) {
			t.Errorf("%s: got %q, want %q", tc.name, response.Result.Message, tc.wants)
		}
	}
}

// TestComplete sends sets to the webhook that lack a default, and one that lacks none. The latter isn't patched.
func TestComplete(t *testing.T) {
	c := newCluster(t, interceptor.Funcs{})
	decoder := ctrladmission.NewDecoder(c.Scheme())
	defaults := ctrladmission.WithDefaulter(c.Scheme(), newWebhook(t, interceptor.Funcs{})).Handler
	handler := explainsUnsupported{decoder, scheduling.NoFeatures, defaults}
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"":         func(*leaderworkersetv1.LeaderWorkerSet) {},
		"replicas": func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = nil },
		"size":     func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = nil },
		"the deprecated restart policy": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.DeprecatedDefaultRestartPolicy
		},
		"the type of the subgroup policy": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{SubGroupSize: ptr.To(int32(1))}
		},
		"maxSurge": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = nil
		},
	} {
		lws := defaulted(newSet("a", 1, 2))
		change(lws)
		response := handler.Handle(t.Context(), setRequest(t, lws, nil))
		if !response.Allowed || (len(response.Patches) > 0) != (name != "") {
			t.Errorf("without %q: %+v", name, response)
		}
	}
}

// setWithSpec returns the JSON of a set with these metadata and this spec.
func setWithSpec(metadata, spec string) runtime.RawExtension {
	const set = `{"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": {%s}, "spec": %s}`
	return runtime.RawExtension{Raw: fmt.Appendf(nil, set, metadata, spec)}
}
