// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images of statically linked programs, without a container engine.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is an image with nothing in it but programs, for Linux on this machine's architecture.
type Image struct {
	// Programs are the paths of statically linked executables here, by their absolute paths in the image.
	Programs map[string]string
	// Entrypoint is the one that containers run by default.
	Entrypoint string
	// User is the number of the user that it runs as.
	User int
}

// Of returns the image of one program, which is in the root directory under the name that it has here.
func Of(program string, user int) Image {
	entrypoint := "/" + filepath.Base(program)
	return Image{Programs: map[string]string{entrypoint: program}, Entrypoint: entrypoint, User: user}
}

// Push makes the image and puts it into a registry, which is reached without TLS if it is on this machine or in a private network. reference
// names it: "localhost:5000/server:v1". Push returns the same image's name by digest.
func Push(ctx context.Context, reference string, image Image) (string, error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return "", err
	}
	built, err := build(image)
	if err != nil {
		return "", fmt.Errorf("make the image %s: %w", reference, err)
	}
	if err := remote.Write(tag, built, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push the image %s: %w", reference, err)
	}
	digest, err := built.Digest()
	return tag.Context().Digest(digest.String()).String(), err
}

// build makes the image.
func build(image Image) (v1.Image, error) {
	content, err := archive(image.Programs)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	built, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{image.Entrypoint}
	config.Config.Env = []string{"PATH=/bin:/"}
	config.Config.User = strconv.Itoa(image.User)
	return mutate.ConfigFile(built, config)
}

// archive returns a tar archive of programs, the same for the same programs.
func archive(programs map[string]string) ([]byte, error) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for _, target := range slices.Sorted(maps.Keys(programs)) {
		data, err := os.ReadFile(programs[target])
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Name: strings.TrimPrefix(target, "/"), Mode: 0o755, Size: int64(len(data)), Format: tar.FormatPAX}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(data); err != nil {
			return nil, err
		}
	}
	return content.Bytes(), writer.Close()
}
