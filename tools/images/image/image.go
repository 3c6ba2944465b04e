// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images out of files, without a container engine and without a base image. The same
// files make the same bytes, whoever made the files, when and where.
package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// DefaultUser is nobody in particular, by number, so that Kubernetes sees that it isn't root. The group is root's, as
// for users that a cluster makes up.
const DefaultUser = "65532:0"

// ArchitectureVariable stands for the architecture in the source of a Copy.
const ArchitectureVariable = "{arch}"

// Spec is what an image is made of.
type Spec struct {
	// Architectures are those that the image is made for, as Go names them. One at least. The operating system is Linux.
	Architectures []string

	// Created is when the image and all files in it were made, to the second.
	Created time.Time

	// Labels describe the image.
	Labels map[string]string

	// Entrypoint is the program that the image runs, and Arguments are what it gets unless told otherwise. An image
	// without a program is only looked into.
	Entrypoint, Arguments []string

	// Environment has the variables that the program gets, as KEY=value.
	Environment []string

	// User runs the program, in the form user[:group]. DefaultUser if empty.
	User string

	// Copies are the layers of the image, in order.
	Copies []Copy

	// Temporary says whether there is a directory /tmp, which everybody may write to.
	Temporary bool
}

// Copy is a file or directory that comes into an image. It belongs to root there, and everybody may read it, and
// execute what the owner of the source may execute.
type Copy struct {
	// Source is the path of the file or directory. If it contains ArchitectureVariable, each architecture has its own.
	Source string

	// Target is the absolute path in the image.
	Target string
}

// Index returns an index of the image, with a manifest for each architecture.
func (s *Spec) Index() (v1.ImageIndex, error) {
	if len(s.Architectures) == 0 {
		return nil, errors.New("an image without architectures")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range s.Architectures {
		image, err := s.Image(architecture)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", architecture, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return index, nil
}

// Image returns the image for an architecture.
func (s *Spec) Image(architecture string) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS:           "linux",
		Architecture: architecture,
		Created:      v1.Time{Time: s.Created},
		Config: v1.Config{
			User: cmp.Or(s.User, DefaultUser), WorkingDir: "/", Env: s.Environment,
			Entrypoint: s.Entrypoint, Cmd: s.Arguments, Labels: s.Labels,
		},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	layers, err := s.layers(architecture)
	if err != nil {
		return nil, err
	}
	for _, content := range layers {
		layer, err := tarball.LayerFromOpener(
			func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		history := v1.History{Created: v1.Time{Time: s.Created}}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: history})
		if err != nil {
			return nil, err
		}
	}
	return image, nil
}

// layers returns the layers for an architecture, as tar archives.
func (s *Spec) layers(architecture string) (layers [][]byte, err error) {
	for _, one := range s.Copies {
		layer := newLayer(s.Created)
		source := strings.ReplaceAll(one.Source, ArchitectureVariable, architecture)
		err := errors.Join(layer.addParents(one.Target), layer.addTree(source, one.Target), layer.archive.Close())
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer.content.Bytes())
	}
	if s.Temporary {
		layer := newLayer(s.Created)
		if err := errors.Join(layer.addDirectory("/tmp", 0o1777), layer.archive.Close()); err != nil {
			return nil, err
		}
		layers = append(layers, layer.content.Bytes())
	}
	return layers, nil
}

// layer is a tar archive that is being written.
type layer struct {
	content *bytes.Buffer
	archive *tar.Writer
	created time.Time
}

func newLayer(created time.Time) layer {
	content := &bytes.Buffer{}
	return layer{content: content, archive: tar.NewWriter(content), created: created}
}

// addParents adds the directories above a path.
func (l layer) addParents(target string) error {
	if !path.IsAbs(target) {
		return fmt.Errorf("%q isn't an absolute path", target)
	}
	var parents []string
	for dir := path.Dir(path.Clean(target)); dir != "/"; dir = path.Dir(dir) {
		parents = append(parents, dir)
	}
	for _, dir := range slices.Backward(parents) {
		if err := l.addDirectory(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// addTree adds a file, or a directory with all that is in it.
func (l layer) addTree(source, target string) error {
	return filepath.WalkDir(source, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		name := path.Join(target, filepath.ToSlash(relative))
		switch {
		case entry.IsDir():
			return l.addDirectory(name, 0o755)
		case entry.Type().IsRegular():
			return l.addFile(file, name)
		default:
			return fmt.Errorf("%s is neither a file nor a directory", file)
		}
	})
}

func (l layer) addDirectory(name string, mode int64) error {
	return l.archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: strings.TrimPrefix(name, "/") + "/", Mode: mode,
		ModTime: l.created, Format: tar.FormatPAX,
	})
}

func (l layer) addFile(source, name string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	err = l.archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(content)),
		ModTime: l.created, Format: tar.FormatPAX,
	})
	if err != nil {
		return err
	}
	_, err = l.archive.Write(content)
	return err
}
