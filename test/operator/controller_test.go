// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadController(t *testing.T) {
	const described = `
name: other
command: [bin/other, "--kubeconfig={kubeconfig}"]
user: system:serviceaccount:other:controller
crds: [/crds]
manifests: [manifests.yaml]
files:
  config.yaml: "port: {webhook-port}"
`
	dir := t.TempDir()
	file := filepath.Join(dir, "other.yaml")
	write(t, file, described)
	got, err := ReadController(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Controller{
		Name:      "other",
		Command:   []string{filepath.Join(dir, "bin", "other"), "--kubeconfig={kubeconfig}"},
		User:      "system:serviceaccount:other:controller",
		CRDs:      []string{"/crds"},
		Manifests: []string{filepath.Join(dir, "manifests.yaml")},
		Files:     map[string]string{"config.yaml": "port: {webhook-port}"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	for _, wrong := range []string{
		strings.Replace(described, "user: ", "users: ", 1),
		strings.Replace(described, "crds: [/crds]", "", 1),
	} {
		write(t, file, wrong)
		if _, err := ReadController(file); err == nil {
			t.Errorf("no error for %s", wrong)
		}
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGroupsOf(t *testing.T) {
	want := []string{"system:serviceaccounts", "system:serviceaccounts:lws-operator-system"}
	if diff := cmp.Diff(want, groupsOf(User)); diff != "" {
		t.Error(diff)
	}
	if groups := groupsOf("somebody"); groups != nil {
		t.Errorf("somebody is in %v", groups)
	}
}

func TestInstallableObjects(t *testing.T) {
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	const manifests = "kind: Deployment\n---\nkind: ClusterRole\nmetadata: {name: a}\n---\nkind: ServiceAccount\n"
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Controller{Manifests: []string{file}}.objects(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, object := range found {
		kinds = append(kinds, object.GetKind())
	}
	if diff := cmp.Diff([]string{"ClusterRole", "ServiceAccount"}, kinds); diff != "" {
		t.Error(diff)
	}
}
