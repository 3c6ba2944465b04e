// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// packageName is the operator's name in the catalog.
	packageName = "lws-operator"
	// repository is the prefix of the names of published images.
	repository = "ghcr.io/leaderworkerset/lws-operator"
	// candidates is the channel with the prepared version, and the default. channel is the channel that the tests
	// subscribe to. In the tests, both have the same versions.
	candidates, channel = "candidate-v0", "stable-v0"
	// successor is a version after all others. It is the prepared version under another number.
	successor = "9.9.9"
)

// releases are the versions of the operator that the tests install. The same program makes their images from the same
// files as those of real releases. Their names in the registry are new in each run.
type releases struct {
	bed *bed.Bed
	dir string
	// repository is the prefix of the names of this run's images.
	repository string
	// entries are the entries of the channel, oldest first: the published versions, the prepared one, and its successor.
	entries []map[string]any
}

// previous returns the version before the prepared one. prepared returns the version that the working tree prepares.
func (r *releases) previous() string { return r.version(len(r.entries) - 3) }
func (r *releases) prepared() string { return r.version(len(r.entries) - 2) }

// version returns the version of an entry of the channel.
func (r *releases) version(entry int) string {
	return strings.TrimPrefix(fmt.Sprint(r.entries[entry]["name"]), packageName+".v")
}

// csv returns the name of a version's ClusterServiceVersion.
func csv(version string) string { return packageName + ".v" + version }

// publish makes and pushes the images of three releases. The files for catalogs stay in the directory.
func publish(ctx context.Context, b *bed.Bed, dir string) (*releases, error) {
	r := &releases{bed: b, dir: dir, repository: b.Repository + "/lws-operator"}
	if err := r.readChannel(); err != nil {
		return nil, err
	}
	if err := r.buildTools(ctx); err != nil {
		return nil, err
	}
	if err := r.publishPrevious(ctx); err != nil {
		return nil, err
	}
	for _, version := range []string{r.prepared(), successor} {
		// Both are made from the working tree.
		if err := r.publishBundle(ctx, version, "bundle", "operator", "bundle", "scorecard"); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readChannel reads the entries of the channel, and adds the successor.
func (r *releases) readChannel() error {
	data, err := os.ReadFile(filepath.Join(r.bed.Root, "catalog", packageName, "channels.yaml"))
	if err != nil {
		return err
	}
	channels, err := objects.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(channels, func(channel *unstructured.Unstructured) bool {
		return channel.Object["name"] == candidates
	})
	if i < 0 {
		return fmt.Errorf("the catalog has no channel %s", candidates)
	}
	entries, _, err := unstructured.NestedSlice(channels[i].Object, "entries")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fields, _ := entry.(map[string]any)
		r.entries = append(r.entries, fields)
	}
	if len(r.entries) < 2 {
		return fmt.Errorf("the channel %s has %d versions; an upgrade needs two", candidates, len(r.entries))
	}
	next := maps.Clone(r.entries[len(r.entries)-1])
	next["replaces"], next["name"] = next["name"], csv(successor)
	next["skipRange"] = ">=0.0.1 <" + successor
	r.entries = append(r.entries, next)
	return nil
}

// programs returns the directory of the programs of a release.
func (r *releases) programs(version string) string { return filepath.Join(r.dir, "programs-"+version) }

// buildTools compiles the programs of the images, including the prepared operator. make has already built opm.
func (r *releases) buildTools(ctx context.Context) error {
	programs := r.programs(r.prepared())
	err := errors.Join(
		bed.Build(ctx, filepath.Join(r.bed.Root, "scorecard"), ".", filepath.Join(programs, "scorecard")),
		bed.Build(ctx, filepath.Join(r.bed.Root, "tools", "olm"), "github.com/grpc-ecosystem/grpc-health-probe",
			filepath.Join(programs, "grpc_health_probe")),
		bed.Build(ctx, r.bed.Root, ".", filepath.Join(programs, "manager"), "main.version="+r.prepared()))
	if err != nil {
		return err
	}
	opm, err := os.ReadFile(filepath.Join(r.bed.Root, "bin", "opm"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(programs, "opm"), opm, 0o755); err != nil {
		return err
	}
	return os.Symlink(programs, r.programs(successor))
}

// publishPrevious publishes the previous version: its frozen bundle, and the operator of the commit that froze it.
func (r *releases) publishPrevious(ctx context.Context) error {
	version := r.previous()
	frozen := filepath.Join("releases", version)
	commit, err := r.lastChange(ctx, frozen)
	if err != nil {
		return err
	}
	source, archive := filepath.Join(r.dir, "source"), filepath.Join(r.dir, "source.tar")
	if err := os.Mkdir(source, 0o755); err != nil {
		return err
	}
	if _, err := r.git(ctx, "archive", "--output", archive, commit); err != nil {
		return err
	}
	if _, err := output(exec.CommandContext(ctx, "tar", "-xf", archive, "-C", source)); err != nil {
		return err
	}
	program := filepath.Join(r.programs(version), "manager")
	if err := bed.Build(ctx, source, ".", program, "main.version="+version); err != nil {
		return err
	}
	return r.publishBundle(ctx, version, frozen, "operator", "bundle")
}

// lastChange returns the last commit that changed a path.
func (r *releases) lastChange(ctx context.Context, path string) (string, error) {
	shallow, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return "", err
	}
	commit, err := r.git(ctx, "log", "-1", "--format=%H", "--", path)
	if err != nil {
		return "", err
	}
	if shallow == "true" || commit == "" {
		return "", fmt.Errorf("the history of this clone doesn't have the commit of %s", path)
	}
	return commit, nil
}

// publishBundle makes and pushes images of a version, with the bundle in a directory.
func (r *releases) publishBundle(ctx context.Context, version, bundle string, images ...string) error {
	root := filepath.Join(r.dir, "release-"+version)
	if err := r.copyTree(version, bundle, filepath.Join(root, "bundle")); err != nil {
		return err
	}
	archives, err := r.build(ctx, root, version, images...)
	if err != nil {
		return err
	}
	return r.push(ctx, r.bed.Repository, archives...)
}

// bundle returns the directory of a version's bundle.
func (r *releases) bundle(version string) string {
	return filepath.Join(r.dir, "release-"+version, "bundle")
}

// publishCatalog pushes a catalog with the versions up to head, as the latest image of a name, and returns the image's
// name.
func (r *releases) publishCatalog(ctx context.Context, name, head string) (string, error) {
	root := filepath.Join(r.dir, "catalog-"+head)
	archives := []string{filepath.Join(root, "catalog.tar")}
	if _, err := os.Stat(archives[0]); errors.Is(err, fs.ErrNotExist) {
		if err := r.writeCatalog(root, head); err != nil {
			return "", err
		}
		if archives, err = r.build(ctx, root, r.prepared(), "catalog"); err != nil {
			return "", err
		}
	}
	target := r.bed.Repository + "/" + name
	return target + "/lws-operator-catalog:latest", r.push(ctx, target, archives...)
}

// writeCatalog writes a catalog with the versions up to head.
func (r *releases) writeCatalog(root, head string) error {
	source := filepath.Join("catalog", packageName)
	target := filepath.Join(root, source)
	last := slices.IndexFunc(r.entries, func(entry map[string]any) bool { return entry["name"] == csv(head) })
	if err := r.copyTree("", filepath.Join(source, "package.yaml"), filepath.Join(target, "package.yaml")); err != nil {
		return err
	}
	for i := range r.entries[:last+1] {
		version := r.version(i)
		rendered := version
		if version == successor {
			rendered = r.prepared()
		}
		from := filepath.Join(source, "bundles", csv(rendered)+".yaml")
		if err := r.copyTree(version, from, filepath.Join(target, "bundles", csv(version)+".yaml")); err != nil {
			return err
		}
	}
	var channels []byte
	for _, name := range []string{candidates, channel} {
		text, err := yaml.Marshal(map[string]any{
			"schema": "olm.channel", "package": packageName, "name": name, "entries": r.entries[:last+1],
		})
		if err != nil {
			return err
		}
		channels = slices.Concat(channels, []byte("---\n"), text)
	}
	return os.WriteFile(filepath.Join(target, "channels.yaml"), channels, 0o600)
}

// build makes images from a directory with the layout of the repository, and returns their archives.
func (r *releases) build(ctx context.Context, root, version string, images ...string) ([]string, error) {
	if err := r.copyTree("", "LICENSE", filepath.Join(root, "LICENSE")); err != nil {
		return nil, err
	}
	arguments := []string{
		"build", "-root", root, "-programs", r.programs(version), "-repository", r.repository, "-version", version,
		"-created", "2026-01-31T00:00:00Z", "-architectures", runtime.GOARCH, "-output", root,
	}
	var archives []string
	for _, image := range images {
		archives = append(archives, filepath.Join(root, image+".tar"))
	}
	return archives, r.images(ctx, append(arguments, images...)...)
}

// push pushes the images in archives. The target is a registry and a path in it.
func (r *releases) push(ctx context.Context, target string, archives ...string) error {
	return r.images(ctx, append([]string{"push", "-registry", target}, archives...)...)
}

// images runs the program that makes the project's images.
func (r *releases) images(ctx context.Context, arguments ...string) error {
	run := []string{"-C", filepath.Join(r.bed.Root, "tools", "images"), "run", "."}
	_, err := output(exec.CommandContext(ctx, "go", append(run, arguments...)...))
	return err
}

// copyTree copies a file of the repository, or the files in a directory. In the copies, it replaces the names of images
// by those of this run. For the successor, it also replaces the prepared version by the successor.
func (r *releases) copyTree(version, source, target string) error {
	renames := []string{
		repository, r.repository,
		"quay.io/operator-framework/scorecard-test", r.bed.Repository + "/scorecard-test",
	}
	if version == successor {
		renames = append(renames, r.prepared(), successor)
	}
	replacer := strings.NewReplacer(renames...)
	root := filepath.Join(r.bed.Root, source)
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file := filepath.Join(target, relative)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, []byte(replacer.Replace(string(data))), 0o644)
	})
}

// git runs git in the repository, and returns its output.
func (r *releases) git(ctx context.Context, arguments ...string) (string, error) {
	text, err := output(exec.CommandContext(ctx, "git", append([]string{"-C", r.bed.Root}, arguments...)...))
	return strings.TrimSpace(string(text)), err
}

// output runs a command and returns its standard output. If the command fails, the error has all output.
func output(command *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(command.Args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}
