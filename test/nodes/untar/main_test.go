// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestRun(t *testing.T) {
	dir, archive := t.TempDir(), filepath.Join(t.TempDir(), "bundle.tar.gz")
	pack(t, archive,
		tar.Header{Name: "./manifests/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "manifests/csv.yaml", Mode: 0o644, Size: 4})
	if err := run([]string{"tar", "xvzf", archive, "-C", dir}); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "manifests", "csv.yaml")); err != nil || string(content) != "text" {
		t.Errorf("got %q, %v", content, err)
	}

	pack(t, archive, tar.Header{Name: "../outside", Mode: 0o644, Size: 4})
	if err := run([]string{"tar", "xvzf", archive, "-C", dir}); err == nil {
		t.Error("untar wrote a file outside of the directory")
	}
	if err := run([]string{"tar", "c", "."}); err == nil {
		t.Error("no error for unknown arguments")
	}
}

// pack writes an archive of directories and files. The content of files is "text".
func pack(t *testing.T, name string, headers ...tar.Header) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	compressed := gzip.NewWriter(file)
	archive := tar.NewWriter(compressed)
	for _, header := range headers {
		if err := archive.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Size > 0 {
			if _, err := archive.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}
