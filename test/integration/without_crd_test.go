// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestWithoutCRD checks that the component without-crd takes the CRDs out of each kustomization, and nothing else. What
// is left is deleted to remove the operator, and must not delete the users' sets.
func TestWithoutCRD(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "certmanager"} {
		dir := t.TempDir()
		config, err := filepath.Rel(dir, filepath.Join(suite.root, "config"))
		if err != nil {
			t.Fatal(err)
		}
		overlay := "resources: [" + config + "/" + name + "]\ncomponents: [" + config + "/without-crd]\n"
		if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
			t.Fatal(err)
		}
		all, rest := kustomized(t, filepath.Join(suite.root, "config", name)), kustomized(t, dir)
		for _, crd := range sharedCRDs {
			if !slices.Contains(all, crd) {
				t.Fatalf("%s has no %s: %v", name, crd, all)
			}
		}
		want := slices.DeleteFunc(all, func(object string) bool { return slices.Contains(sharedCRDs, object) })
		if !slices.Equal(want, rest) {
			t.Errorf("%s without its CRDs: %v; want %v", name, rest, want)
		}
	}
}

// kustomized returns the kinds and names of the objects of a kustomization, sorted.
func kustomized(t *testing.T, dir string) []string {
	t.Helper()
	decoded, err := objects.Decode(strings.NewReader(mustKubectl(t, "kustomize", dir)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range decoded {
		names = append(names, object.GetKind()+" "+object.GetName())
	}
	slices.Sort(names)
	return names
}
