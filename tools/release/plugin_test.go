// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestPlugin packs the same archives twice. The manifest for krew has the checksum of each.
func TestPlugin(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	all := "linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64"
	for platform := range strings.FieldsSeq(all) {
		path := filepath.Join(programs, platform)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "kubectl-lws"), []byte(platform), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var written [2]map[string]string
	for i := range written {
		dir := t.TempDir()
		o := options{
			root: filepath.Join("..", ".."), programs: programs, output: dir, version: "0.2.0",
			created: time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC), platforms: all,
		}
		if err := o.run(); err != nil {
			t.Fatal(err)
		}
		written[i] = readAll(t, dir)
	}
	for name, text := range written[0] {
		if written[1][name] != text {
			t.Errorf("%s differs", name)
		}
	}
	if len(written[0]) != 8 {
		t.Errorf("%d files, want 6 archives, checksums and a manifest", len(written[0]))
	}
	var manifest struct {
		Spec struct {
			Version   string
			Platforms []struct{ URI, SHA256, Bin string }
		}
	}
	if err := yaml.Unmarshal([]byte(written[0]["kubectl-lws_krew.yaml"]), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Spec.Version != "v0.2.0" || len(manifest.Spec.Platforms) != 6 {
		t.Errorf("manifest: %+v", manifest)
	}
	for _, platform := range manifest.Spec.Platforms {
		line := platform.SHA256 + "  " + filepath.Base(platform.URI) + "\n"
		if !strings.Contains(written[0]["kubectl-lws_checksums.txt"], line) ||
			!strings.Contains(platform.URI, "/v0.2.0/") ||
			strings.HasSuffix(platform.Bin, ".exe") != strings.Contains(platform.URI, "windows") {
			t.Errorf("platform: %+v", platform)
		}
	}
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}
