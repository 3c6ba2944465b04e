// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Annotations by which programs that load an archive name the image in it.
const (
	nameAnnotation           = "org.opencontainers.image.ref.name" // by the specification
	containerdNameAnnotation = "io.containerd.image.name"
)

// Write writes an index of an image into a file: an OCI image layout, as a tar archive. The image is called name, such
// as example.com/operator:v1.
func Write(file, name string, index v1.ImageIndex) (err error) {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	directory, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	names := map[string]string{nameAnnotation: name, containerdNameAnnotation: name}
	if err := directory.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return err
	}
	return pack(dir, file)
}

// pack writes all files of a directory into a tar archive, in the order of their names.
func pack(dir, file string) (err error) {
	output, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, output.Close()) }()
	archive := tar.NewWriter(output)
	defer func() { err = errors.Join(err, archive.Close()) }()
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
}

// Read unpacks a file that Write has written into an empty directory. It returns what the image is called, and its
// index, which reads that directory.
func Read(file, dir string) (name string, index v1.ImageIndex, err error) {
	if err := unpack(file, dir); err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(manifest.Manifests) != 1 {
		return "", nil, fmt.Errorf("%s: %d images; want one", file, len(manifest.Manifests))
	}
	only := manifest.Manifests[0]
	index, err = outer.ImageIndex(only.Digest)
	return only.Annotations[nameAnnotation], index, err
}

// unpack extracts the files of a tar archive.
func unpack(file, dir string) (err error) {
	input, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, input.Close()) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for archive := tar.NewReader(input); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := extract(root, header.Name, archive); err != nil {
			return err
		}
	}
}

func extract(root *os.Root, name string, content io.Reader) (err error) {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	output, err := root.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, output.Close()) }()
	_, err = io.Copy(output, content)
	return err
}
