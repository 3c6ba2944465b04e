// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSecondBuildDoesNothing(t *testing.T) {
	programsFor(t)
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := Build(t.Context(), root, &out); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("built again: %s", &out)
	}
}

func TestVersions(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	others, err := otherVersions(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(others) == 0 {
		t.Error("there is only one version of Kubernetes")
	}
	for _, minor := range append(others, Newest) {
		from, err := sourceOf(root, minor)
		if err != nil {
			t.Fatal(err)
		}
		version, err := from.version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(version, "v"+minor+".") {
			t.Errorf("%s has Kubernetes %s, want %s", from.modfile, version, minor)
		}
	}
}

// TestVersionsAreDocumented checks that what users read says which versions of Kubernetes are tested.
func TestVersionsAreDocumented(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	others, err := otherVersions(root)
	if err != nil {
		t.Fatal(err)
	}
	oldest := others[0]
	tested := "It is tested on Kubernetes " + oldest + " and " + Newest
	const csv = "config/manifests/bases/lws-operator.clusterserviceversion.yaml"
	for file, texts := range map[string][]string{
		"README.md":           {tested},
		"docs/install/olm.md": {tested, "needs Kubernetes " + oldest + " or later"},
		csv:                   {tested, "minKubeVersion: " + oldest + ".0\n"},
	} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if !strings.Contains(string(data), text) {
				t.Errorf("%s doesn't say %q", file, text)
			}
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(versionVariable, "1.2")
	_, err = Build(t.Context(), root, t.Output())
	if err == nil || !strings.Contains(err.Error(), "1.34, ") || !strings.Contains(err.Error(), ", "+Newest) {
		t.Errorf("got the error %v", err)
	}
}

func TestStamp(t *testing.T) {
	from := source{dir: t.TempDir(), modfile: "1.34.mod"}
	write := func(name, content string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(from.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp, err := from.stamp(t.Context())
		if err != nil {
			stamp = ""
		}
		return stamp
	}
	if stamp := write("1.34.mod", "module example.com/m\n"); stamp != "" {
		t.Errorf("a stamp without 1.34.sum: %s", stamp)
	}
	stamps := map[string]bool{
		write("1.34.sum", ""):            true,
		write("main.go", "package main"): true,
		write("main.go", "package m"):    true,
		write("1.34.sum", "x"):           true,
		write("go.mod", "module x\n"):    true, // of another version
	}
	if len(stamps) != 4 || stamps[""] {
		t.Errorf("the stamps of four different sources: %v", stamps)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.expect([]string{"example.com/a", "example.com/b"})
	for line, want := range map[string]string{
		"go: downloading example.com/m v1.0.0": "downloading example.com/m v1.0.0",
		"example.com/b":                        "compiling 1 of 2 packages: example.com/b",
		"# example.com/a":                      "",
		"a.go:1:1: expected 'package'":         "",
	} {
		if message := p.message(line); message != want {
			t.Errorf("%q gives %q, want %q", line, message, want)
		}
	}
	p.report("too early")
	p.last = p.last.Add(-reportInterval - time.Second)
	p.report("in time")
	p.report("too early again")
	p.close()
	if got, want := out.String(), "in time\n"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}
