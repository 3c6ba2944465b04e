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
	// packageName is what the catalog calls the operator.
	packageName = "lws-operator"
	// repository is what the names of published images begin with.
	repository = "ghcr.io/leaderworkerset/lws-operator"
	// candidates is the channel that has the version that is prepared, channel the one that the tests subscribe to.
	candidates, channel = "candidate-v0", "stable-v0"
	// successor is a version after all others. It is the one that is prepared, under another number.
	successor = "9.9.9"
)

// releases are the versions of the operator that are installed. Their images are in the registry, made from the same files, and by the same
// program, as those of releases are, under names of this run.
type releases struct {
	bed *bed.Bed
	dir string
	// repository is what the names of the images of this run begin with.
	repository string
	// entries are those of the channel, oldest first: the published ones, the one that is prepared, and its successor.
	entries []map[string]any
}

// previous is the version before the one that is prepared, and prepared is that one.
func (r *releases) previous() string { return r.version(len(r.entries) - 3) }
func (r *releases) prepared() string { return r.version(len(r.entries) - 2) }

// version is that of an entry of the channel.
func (r *releases) version(entry int) string {
	return strings.TrimPrefix(fmt.Sprint(r.entries[entry]["name"]), packageName+".v")
}

// csv is the name of a version's ClusterServiceVersion.
func csv(version string) string { return packageName + ".v" + version }

// publish makes the images of three releases, and pushes them. What it needs for catalogs stays in the directory.
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
		// What is in the working tree, as both.
		if err := r.publishBundle(ctx, version, "bundle", "operator", "bundle", "scorecard"); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readChannel reads which version replaces which one.
func (r *releases) readChannel() error {
	data, err := os.ReadFile(filepath.Join(r.bed.Root, "catalog", packageName, "channels.yaml"))
	if err != nil {
		return err
	}
	channels, err := objects.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(channels, func(channel *unstructured.Unstructured) bool { return channel.Object["name"] == candidates })
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
		return fmt.Errorf("the channel %s has %d versions: there is nothing to upgrade", candidates, len(r.entries))
	}
	next := maps.Clone(r.entries[len(r.entries)-1])
	next["replaces"], next["name"] = next["name"], csv(successor)
	next["skipRange"] = ">=0.0.1 <" + successor
	r.entries = append(r.entries, next)
	return nil
}

// programs is the directory of the programs of a release.
func (r *releases) programs(version string) string { return filepath.Join(r.dir, "programs-"+version) }

// buildTools compiles what is in the images beside the operator. opm is built already.
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

// publishPrevious publishes the version before: its frozen bundle, and the operator of the commit that froze it.
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
	if err := bed.Build(ctx, source, ".", filepath.Join(r.programs(version), "manager"), "main.version="+version); err != nil {
		return err
	}
	return r.publishBundle(ctx, version, frozen, "operator", "bundle")
}

// lastChange is the commit that changed a path last.
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
		return "", fmt.Errorf("the history of this clone doesn't tell which commit %s is from", path)
	}
	return commit, nil
}

// publishBundle makes images of a version with the bundle in a directory, and pushes them.
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

// bundle is the directory of a version's bundle.
func (r *releases) bundle(version string) string {
	return filepath.Join(r.dir, "release-"+version, "bundle")
}

// publishCatalog pushes a catalog that ends with a version, as the latest one of a name, and returns the image's name.
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

// writeCatalog makes a catalog of the versions up to one.
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
	channels, err := yaml.Marshal(map[string]any{"schema": "olm.channel", "package": packageName, "name": channel, "entries": r.entries[:last+1]})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(target, "channels.yaml"), channels, 0o600)
}

// build makes images from a directory like the root of the repository, and returns the archives that they are in.
func (r *releases) build(ctx context.Context, root, version string, images ...string) ([]string, error) {
	if err := r.copyTree("", "LICENSE", filepath.Join(root, "LICENSE")); err != nil {
		return nil, err
	}
	arguments := []string{"build", "-root", root, "-programs", r.programs(version), "-repository", r.repository, "-version", version,
		"-created", "2026-01-31T00:00:00Z", "-architectures", runtime.GOARCH, "-output", root}
	var archives []string
	for _, image := range images {
		archives = append(archives, filepath.Join(root, image+".tar"))
	}
	return archives, r.images(ctx, append(arguments, images...)...)
}

// push pushes the images in archives to a registry, and path in it.
func (r *releases) push(ctx context.Context, target string, archives ...string) error {
	return r.images(ctx, append([]string{"push", "-registry", target}, archives...)...)
}

// images runs the program that makes the project's images.
func (r *releases) images(ctx context.Context, arguments ...string) error {
	_, err := output(exec.CommandContext(ctx, "go", append([]string{"-C", filepath.Join(r.bed.Root, "tools", "images"), "run", "."}, arguments...)...))
	return err
}

// copyTree copies a file, or the files in a directory, of the repository. The images that they name become those of this run, and the
// version that is prepared becomes the successor in the successor's files.
func (r *releases) copyTree(version, source, target string) error {
	renames := []string{repository, r.repository, "quay.io/operator-framework/scorecard-test", r.bed.Repository + "/scorecard-test"}
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

// git runs git in the repository, and returns what it printed.
func (r *releases) git(ctx context.Context, arguments ...string) (string, error) {
	text, err := output(exec.CommandContext(ctx, "git", append([]string{"-C", r.bed.Root}, arguments...)...))
	return strings.TrimSpace(string(text)), err
}

// output runs a command and returns what it printed, or an error with what it said.
func output(command *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(command.Args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}
