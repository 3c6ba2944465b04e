// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command images makes the project's container images, and pushes them to registries. It needs no container engine.
//
//	images build -version 1.2.3 -created 2026-01-31T00:00:00Z operator bundle
//	images push -registry registry.example.com/mirror bin/images/operator.tar
//
// The archives are OCI image layouts. Container engines and containerd can load them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/leaderworkerset/lws-operator/tools/images/image"
)

const usage = `usage: images build -version <version> -created <time> [flags] <image> …
       images push [flags] <archive> …`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

// run runs the command that the arguments name.
func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New(usage)
	}
	switch command := arguments[0]; command {
	case "build":
		return build(arguments[1:])
	case "push":
		return push(ctx, arguments[1:])
	default:
		return fmt.Errorf("unknown command %q\n%s", command, usage)
	}
}

// build writes images into archives.
func build(arguments []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	r := release{}
	flags.StringVar(&r.root, "root", ".", "root directory of the repository")
	flags.StringVar(&r.programs, "programs", filepath.Join("bin", "linux-"+image.ArchitectureVariable),
		"directory of the programs for an architecture; {arch} stands for its name")
	flags.StringVar(&r.repository, "repository", "ghcr.io/leaderworkerset/lws-operator",
		"name of the operator's image, which is the prefix of the names of other images")
	flags.StringVar(&r.version, "version", "", "version of the release")
	created := flags.String("created", "", "time of the release, in the format of RFC 3339")
	architectures := flags.String("architectures", "amd64 arm64 ppc64le s390x",
		"architectures of the images, separated by spaces")
	output := flags.String("output", filepath.Join("bin", "images"),
		"directory of the archives <image>.tar")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var err error
	if r.created, err = time.Parse(time.RFC3339, *created); err != nil {
		return fmt.Errorf("-created: %w", err)
	}
	r.architectures = strings.Fields(*architectures)
	if r.version == "" || flags.NArg() == 0 {
		return errors.New(usage)
	}
	if err := os.MkdirAll(*output, 0o755); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		if err := r.write(name, filepath.Join(*output, name+".tar")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// push pushes the images in archives to registries, with the credentials of Docker's configuration.
func push(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	registry := flags.String("registry", "",
		"registry, and path in it, that replace those in the names of the images")
	insecure := flags.Bool("insecure", false, "use HTTP also for registries on other machines")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New(usage)
	}
	var options []name.Option
	if *insecure {
		options = append(options, name.Insecure)
	}
	for _, archive := range flags.Args() {
		if err := pushOne(ctx, archive, *registry, options); err != nil {
			return err
		}
	}
	return nil
}

// pushOne pushes the image in an archive, and prints its name by digest.
func pushOne(ctx context.Context, archive, registry string, options []name.Option) (err error) {
	dir, err := os.MkdirTemp("", "images-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	target, index, err := image.Read(archive, dir)
	if err != nil {
		return err
	}
	if registry != "" {
		target = registry + "/" + path.Base(target)
	}
	reference, err := name.ParseReference(target, options...)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	credentials := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	if err := remote.WriteIndex(reference, index, remote.WithContext(ctx), credentials); err != nil {
		return err
	}
	fmt.Printf("%s@%s\n", reference, digest)
	return nil
}
