// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package image puts images of statically linked programs into the registry that nodes pull from.
package image

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/leaderworkerset/lws-operator/tools/images/image"
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

// Push makes the image and puts it into a registry. The connection has no TLS if the registry is on this machine or in
// a private network. reference names the image: "localhost:5000/server:v1". Push returns the same image's name by
// digest.
func Push(ctx context.Context, reference string, content Image) (string, error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return "", err
	}
	built, err := content.spec().Image(runtime.GOARCH)
	if err != nil {
		return "", fmt.Errorf("make the image %s: %w", reference, err)
	}
	if err := remote.Write(tag, built, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push the image %s: %w", reference, err)
	}
	digest, err := built.Digest()
	return tag.Context().Digest(digest.String()).String(), err
}

// spec returns the same image for the builder of release images. One without dates is the same for the same programs.
func (i Image) spec() *image.Spec {
	spec := &image.Spec{
		Entrypoint:  []string{i.Entrypoint},
		Environment: []string{"PATH=/bin:/"},
		User:        strconv.Itoa(i.User),
	}
	for _, target := range slices.Sorted(maps.Keys(i.Programs)) {
		spec.Copies = append(spec.Copies, image.Copy{Source: i.Programs[target], Target: target})
	}
	return spec
}
