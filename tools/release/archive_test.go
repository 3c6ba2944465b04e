// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPack packs a directory twice, with other permissions and times of the files. The archives are the same.
func TestPack(t *testing.T) {
	t.Parallel()
	var packed [2][]byte
	for i, mode := range []os.FileMode{0o600, 0o755} {
		dir, output := t.TempDir(), filepath.Join(t.TempDir(), "packed.tar.gz")
		for _, name := range []string{"b", "a/c"} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), mode)); err != nil {
				t.Fatal(err)
			}
		}
		if err := run([]string{"pack", "-created", "2026-11-21T00:00:00Z", dir, output}); err != nil {
			t.Fatal(err)
		}
		var err error
		if packed[i], err = os.ReadFile(output); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("The archives differ")
	}
	want := map[string]string{"a/c": "a/c", "b": "b"}
	if diff := cmp.Diff(want, unpack(t, packed[0])); diff != "" {
		t.Errorf("The archive has other files (-want +got):\n%s", diff)
	}
}

// unpack returns the contents of an archive's files by name.
func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files, in := map[string]string{}, tar.NewReader(compressed)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(content)
	}
}
