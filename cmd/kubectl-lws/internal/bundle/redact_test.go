// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/fixture"
)

// TestRedact replaces what may be a secret, and keeps what the operator wrote.
func TestRedact(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-0", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "somebody"}},
		Annotations: map[string]string{"leaderworkerset.sigs.k8s.io/size": "4", "example.com/token": "secret"},
	}}
	pod.Spec.InitContainers = []corev1.Container{{Name: "init", Command: []string{"login", "secret"}}}
	pod.Spec.Containers = []corev1.Container{{
		Name: "main", Args: []string{"--password=secret"},
		Env: []corev1.EnvVar{
			{Name: "LWS_LEADER_ADDRESS", Value: "llama-0.llama.default"}, {Name: "TOKEN", Value: "secret"},
			{Name: "FROM", ValueFrom: &corev1.EnvVarSource{}},
		},
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
			Command: []string{"probe", "secret"},
		}}},
	}}
	for _, redact := range []bool{true, false} {
		b := &Bundle{Redact: redact}
		if err := AddObjects(b, "pods", []*corev1.Pod{pod}); err != nil {
			t.Fatal(err)
		}
		text := string(b.files["pods.yaml"])
		if strings.Contains(text, "secret") == redact {
			t.Errorf("redact %t:\n%s", redact, text)
		}
		for _, kept := range []string{"llama-0.llama.default", `size: "4"`, "name: TOKEN", "valueFrom"} {
			if !strings.Contains(text, kept) {
				t.Errorf("redact %t lost %s:\n%s", redact, kept, text)
			}
		}
		if strings.Contains(text, "somebody") {
			t.Errorf("managed fields:\n%s", text)
		}
	}
}

// TestWrite writes the same archive twice.
func TestWrite(t *testing.T) {
	t.Parallel()
	var archives [2]bytes.Buffer
	for i := range archives {
		b := &Bundle{}
		for _, name := range []string{"b", "a", "c"} {
			b.AddText(name, name)
		}
		if err := b.Write(&archives[i], fixture.Now); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		t.Error("the archives differ")
	}
}
