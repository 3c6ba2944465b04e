// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images of single programs, without a container engine.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is an image with nothing in it but one program, for Linux on this machine's architecture.
type Image struct {
	// Program is the path of a statically linked executable. In the image it is in the root directory, under the same name, and what
	// containers run.
	Program string
	// User is the number of the user that it runs as.
	User int
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
	content, err := archive(image.Program)
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
	config.Config.Entrypoint = []string{"/" + filepath.Base(image.Program)}
	config.Config.User = strconv.Itoa(image.User)
	return mutate.ConfigFile(built, config)
}

// archive returns a tar archive of one program, the same for the same program.
func archive(program string) ([]byte, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	header := &tar.Header{Name: filepath.Base(program), Mode: 0o755, Size: int64(len(data)), Format: tar.FormatPAX}
	if err := writer.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := writer.Write(data); err != nil {
		return nil, err
	}
	return content.Bytes(), writer.Close()
}
