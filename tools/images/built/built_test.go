// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package built tests the images that `make images` has put into bin/images.
package built

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/leaderworkerset/lws-operator/tools/images/image"
)

// TestOperatorRuns runs the program of the operator's image for this architecture.
func TestOperatorRuns(t *testing.T) {
	_, index, err := image.Read(filepath.Join("..", "..", "..", "bin", "images", "operator.tar"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	images, err := partial.FindImages(index, match.Platforms(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil || len(images) != 1 {
		t.Fatalf("got %d images, %v; want one", len(images), err)
	}
	config, err := images[0].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	program := extract(t, images[0], config.Config.Entrypoint[0])
	output, err := exec.CommandContext(t.Context(), program, "-version").CombinedOutput()
	want := config.Config.Labels["org.opencontainers.image.version"]
	if err != nil || strings.TrimSpace(string(output)) != want {
		t.Errorf("version: got %q, %v; want %q", output, err, want)
	}
}

// extract copies a program out of an image, and returns its path.
func extract(t *testing.T, from v1.Image, program string) string {
	t.Helper()
	content := mutate.Extract(from)
	defer func() { _ = content.Close() }()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		if "/"+header.Name != program {
			continue
		}
		path := filepath.Join(t.TempDir(), filepath.Base(program))
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(file, archive) //nolint:gosec // An archive of ours.
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
}
