// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/leaderworkerset/lws-operator/tools/images/image"
)

// specOf is an image of a program for two architectures, and a directory, below dir.
func specOf(dir string) *image.Spec {
	return &image.Spec{
		Architectures: []string{"amd64", "s390x"},
		Created:       time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
		Labels:        map[string]string{"a": "b"},
		Entrypoint:    []string{"/bin/program"},
		Arguments:     []string{"serve"},
		Environment:   []string{"KEY=value"},
		Copies: []image.Copy{
			{Source: filepath.Join(dir, "configs"), Target: "/etc/configs"},
			{Source: filepath.Join(dir, "{arch}", "program"), Target: "/bin/program"},
		},
		Temporary: true,
	}
}

// write makes the files of that image, with the permissions that a umask leaves.
func write(t *testing.T, umask os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"configs/b.yaml", "b: 1\n", 0o666},
		{"configs/a/a.yaml", "a: 1\n", 0o666},
		{"amd64/program", "for amd64", 0o777},
		{"s390x/program", "for s390x", 0o777},
	} {
		path := filepath.Join(dir, file.name)
		err := errors.Join(
			os.MkdirAll(filepath.Dir(path), 0o777&^umask),
			os.WriteFile(path, []byte(file.content), file.mode),
			os.Chmod(path, file.mode&^umask))
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// index makes the image.
func index(t *testing.T, spec *image.Spec) v1.ImageIndex {
	t.Helper()
	made, err := spec.Index()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestIndex(t *testing.T) {
	spec := specOf(write(t, 0o022))
	made := index(t, spec)
	manifest, err := made.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, each := range manifest.Manifests {
		platforms = append(platforms, each.Platform.String())
		checkImage(t, made, each, spec)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/s390x"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

// checkImage checks the image for one architecture.
func checkImage(t *testing.T, made v1.ImageIndex, described v1.Descriptor, spec *image.Spec) {
	t.Helper()
	one, err := made.Image(described.Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := one.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(described.Platform, config.Platform()); diff != "" {
		t.Errorf("platform (-index +image):\n%s", diff)
	}
	want := v1.Config{
		User: "65532:0", WorkingDir: "/", Env: spec.Environment,
		Entrypoint: spec.Entrypoint, Cmd: spec.Arguments, Labels: spec.Labels,
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	wantFiles := []string{
		"drwxr-xr-x etc/",
		"drwxr-xr-x etc/configs/",
		"drwxr-xr-x etc/configs/a/",
		"-rw-r--r-- etc/configs/a/a.yaml: a: 1\n",
		"-rw-r--r-- etc/configs/b.yaml: b: 1\n",
		"drwxr-xr-x bin/",
		"-rwxr-xr-x bin/program: for " + described.Platform.Architecture,
		"dtrwxrwxrwx tmp/",
	}
	if diff := cmp.Diff(wantFiles, filesIn(t, one, spec.Created)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// filesIn lists what is in the layers of an image, which all belongs to root and was made at that time.
func filesIn(t *testing.T, one v1.Image, made time.Time) (files []string) {
	t.Helper()
	layers, err := one.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for archive := tar.NewReader(content); ; {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			line := header.FileInfo().Mode().String() + " " + header.Name
			if header.Typeflag == tar.TypeReg {
				line += ": " + string(text)
			}
			files = append(files, line)
			if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Gname != "" || !header.ModTime.Equal(made) {
				t.Errorf("%s: of %d:%d (%s:%s) at %s",
					header.Name, header.Uid, header.Gid, header.Uname, header.Gname, header.ModTime)
			}
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestReproducible makes an archive of the same files twice: of other people, at other times, in other places.
func TestReproducible(t *testing.T) {
	var archives [][]byte
	for _, umask := range []os.FileMode{0o022, 0o077} {
		file := filepath.Join(t.TempDir(), "image.tar")
		if err := image.Write(file, "example.com/image:v1", index(t, specOf(write(t, umask)))); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives differ")
	}
}

func TestRead(t *testing.T) {
	written := index(t, specOf(write(t, 0o022)))
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := image.Write(file, "example.com/image:v1", written); err != nil {
		t.Fatal(err)
	}
	name, read, err := image.Read(file, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if name != "example.com/image:v1" {
		t.Errorf("it is called %q", name)
	}
	if err := validate.Index(read); err != nil {
		t.Error(err)
	}
	want, wantErr := written.Digest()
	got, gotErr := read.Digest()
	if wantErr != nil || gotErr != nil || got != want {
		t.Errorf("digest of what was read: got %s, %v; want %s, %v", got, gotErr, want, wantErr)
	}
}

func TestErrors(t *testing.T) {
	dir := write(t, 0o022)
	if err := os.Symlink("configs", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*image.Spec)
		want   string
	}{
		"no architecture":      {func(s *image.Spec) { s.Architectures = nil }, "without architectures"},
		"a program that lacks": {func(s *image.Spec) { s.Architectures = append(s.Architectures, "arm64") }, "arm64: "},
		"a relative target":    {func(s *image.Spec) { s.Copies[0].Target = "etc" }, `"etc" isn't an absolute path`},
		"neither file nor else": {
			func(s *image.Spec) { s.Copies[0].Source = filepath.Join(dir, "link") }, "neither a file nor a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := specOf(dir)
			spec.Copies = slices.Clone(spec.Copies)
			test.change(spec)
			if _, err := spec.Index(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want an error with %q", err, test.want)
			}
		})
	}
}
