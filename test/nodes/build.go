// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// Programs are the directories of a cluster's programs.
type Programs struct {
	// ControlPlane is what cluster.Build returns, Nodes the directory of the rest.
	ControlPlane, Nodes string
}

// ProgramsIn returns the directories that Build fills in the repository at root.
func ProgramsIn(root string) Programs {
	return Programs{ControlPlane: filepath.Join(root, "bin", "cluster"), Nodes: filepath.Join(root, "bin", "nodes")}
}

// DebianPackages are the packages of Debian, and of distributions like it, that Build and Start need.
var DebianPackages = []string{"gcc", "iproute2", "libc6-dev", "libseccomp-dev", "nftables", "pkg-config"}

// packages of Go modules that programs come from.
const (
	containerd = "github.com/containerd/containerd/v2"
	plugins    = "github.com/containernetworking/plugins/plugins"
	runc       = "github.com/opencontainers/runc"
	registry   = "github.com/distribution/distribution/v3/cmd/registry"
	kubernetes = "k8s.io/kubernetes"
	olm        = "github.com/operator-framework/operator-lifecycle-manager"
	// runtimeModule is the module of ours that names the versions of all of them but Kubernetes.
	runtimeModule = "programs/runtime"
	// versionPackage has the variables with the version of Kubernetes.
	versionPackage = "k8s.io/component-base/version"
)

// program is one build: packages of a module, which become executables.
type program struct {
	// module is a directory below test/nodes.
	module   string
	packages []string
	// output is a file, or a directory if it ends in a slash, below the directory of programs.
	output string
	tags   string
	// cgo builds with a C compiler, and links dynamically.
	cgo bool
	// version is a module whose version the linker writes into the variables of versionFlags.
	version      string
	versionFlags string
}

// programs are all builds. %[1]s is the version without the v, %[2]s its first number and %[3]s its second one.
var programs = []program{
	{module: "programs/kubernetes", packages: []string{"."}, output: "kubernetes", version: kubernetes,
		versionFlags: "-X " + versionPackage + ".gitVersion=v%[1]s -X " + versionPackage + ".gitMajor=%[2]s -X " + versionPackage + ".gitMinor=%[3]s"},
	{module: runtimeModule, packages: []string{containerd + "/cmd/containerd", containerd + "/cmd/containerd-shim-runc-v2"}, output: "./",
		tags: "no_btrfs,no_devmapper,no_zfs,no_aufs", version: containerd, versionFlags: "-X " + containerd + "/version.Version=v%[1]s"},
	{module: runtimeModule, packages: []string{runc}, output: "runc", tags: "seccomp,urfave_cli_no_docs", cgo: true,
		version: runc, versionFlags: "-X main.version=%[1]s"},
	{module: runtimeModule, packages: []string{plugins + "/main/bridge", plugins + "/main/loopback", plugins + "/ipam/host-local",
		plugins + "/meta/portmap"}, output: "cni/"},
	{module: runtimeModule, packages: []string{registry}, output: "registry"},
	{module: "programs/dns", packages: []string{"."}, output: "coredns"},
	{module: ".", packages: []string{"./machine", "./cmd/nodes"}, output: "./"},
}

// olmPrograms are those of OLM, and what makes its manifests.
var olmPrograms = []program{
	{module: "programs/olm", packages: []string{olm + "/cmd/olm", olm + "/cmd/catalog", olm + "/cmd/package-server", olm + "/cmd/copy-content",
		olm + "/util/cpb", "./cp", "./manifests"}, output: "olm/", tags: "json1,containers_image_openpgp,exclude_graphdriver_btrfs"},
}

// links are the names that the programs of one binary are called by.
var links = map[string]string{"kubelet": "kubernetes", "kube-proxy": "kubernetes"}

// Build makes the programs of the control plane and of the nodes in the repository at root. What is up to date isn't compiled again. The first
// time that takes some minutes, mostly for Kubernetes and containerd. out gets its progress.
func Build(ctx context.Context, root string, out io.Writer) (Programs, error) {
	made := ProgramsIn(root)
	if err := checkTools(ctx); err != nil {
		return made, err
	}
	if _, err := cluster.Build(ctx, root, out); err != nil {
		return made, err
	}
	source := filepath.Join(root, "test", "nodes")
	if err := buildAll(ctx, programs, source, made.Nodes, out); err != nil {
		return made, err
	}
	for name, target := range links {
		path := filepath.Join(made.Nodes, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
		if err := os.Symlink(target, path); err != nil {
			return made, err
		}
	}
	return made, buildPause(ctx, filepath.Join(source, "programs", "kubernetes"), filepath.Join(made.Nodes, "pause"))
}

// BuildOLM makes the programs of the Operator Lifecycle Manager in the repository at root, and puts them and the chart with its manifests into
// the directory that it returns. The first time that takes some minutes. out gets its progress.
func BuildOLM(ctx context.Context, root string, out io.Writer) (string, error) {
	source, bin := filepath.Join(root, "test", "nodes"), ProgramsIn(root).Nodes
	made := filepath.Join(bin, "olm")
	if err := buildAll(ctx, olmPrograms, source, bin, out); err != nil {
		return made, err
	}
	module, err := moduleInfo(ctx, filepath.Join(source, "programs", "olm"), olm, "{{.Dir}}")
	if err != nil {
		return made, err
	}
	chart := filepath.Join(made, "chart")
	if err := os.RemoveAll(chart); err != nil {
		return made, err
	}
	return made, os.CopyFS(chart, os.DirFS(filepath.Join(module, "deploy", "chart")))
}

// buildAll makes programs from the modules below the directory source in the directory bin.
func buildAll(ctx context.Context, programs []program, source, bin string, out io.Writer) error {
	for _, p := range programs {
		_, _ = fmt.Fprintf(out, "building %s\n", strings.Join(p.names(), ", "))
		if err := p.build(ctx, source, bin); err != nil {
			return fmt.Errorf("build %s: %w", strings.Join(p.names(), ", "), err)
		}
	}
	return nil
}

// names are those of the programs, as people know them.
func (p program) names() []string {
	if len(p.packages) == 1 && p.packages[0] == "." {
		return []string{filepath.Base(p.output)}
	}
	names := make([]string, 0, len(p.packages))
	for _, path := range p.packages {
		names = append(names, filepath.Base(path))
	}
	return names
}

// build makes the programs in the directory bin. The modules are below the directory source.
func (p program) build(ctx context.Context, source, bin string) error {
	module := filepath.Join(source, p.module)
	flags := "-s -w"
	if p.version != "" {
		version, err := moduleInfo(ctx, module, p.version, "{{.Version}}")
		if err != nil {
			return err
		}
		version = strings.TrimPrefix(version, "v")
		numbers := strings.SplitN(version, ".", 3)
		if len(numbers) != 3 {
			return fmt.Errorf("%s has the version %q", p.version, version)
		}
		flags += " " + fmt.Sprintf(p.versionFlags, version, numbers[0], numbers[1])
	}
	output := filepath.Join(bin, p.output)
	if strings.HasSuffix(p.output, "/") {
		output += "/"
	}
	args := []string{"build", "-buildvcs=false", "-tags", p.tags, "-ldflags", flags, "-o", output}
	cmd := exec.CommandContext(ctx, "go", append(args, p.packages...)...)
	cmd.Dir = module
	cmd.Env = goEnvironment(p.cgo)
	return failure(cmd)
}

// buildPause compiles the program that holds the namespaces of a pod, from its source in the module of Kubernetes.
func buildPause(ctx context.Context, module, output string) error {
	dir, err := moduleInfo(ctx, module, kubernetes, "{{.Dir}}")
	if err != nil {
		return err
	}
	return failure(exec.CommandContext(ctx, "gcc", "-O2", "-static", "-s", "-o", output, filepath.Join(dir, "build", "pause", "linux", "pause.c")))
}

// moduleInfo returns what a template says about a module that another one depends on.
func moduleInfo(ctx context.Context, module, dependency, template string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", template, dependency)
	cmd.Dir = module
	cmd.Env = goEnvironment(false)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", dependency, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// goEnvironment is the environment of the go command.
func goEnvironment(cgo bool) []string {
	enabled := "0"
	if cgo {
		enabled = "1"
	}
	return append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+enabled)
}

// failure runs a command and returns what it said if it fails.
func failure(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}

// checkTools returns an error that says what is missing, and how to get it.
func checkTools(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return errors.New("nodes need Linux")
	}
	var missing []string
	for _, tool := range []string{"gcc", "ip", "nft", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) == 0 && exec.CommandContext(ctx, "pkg-config", "--exists", "libseccomp").Run() != nil {
		missing = append(missing, "the headers of libseccomp")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("missing: %s. On Debian and Ubuntu:\n  apt-get install --no-install-recommends %s",
		strings.Join(missing, ", "), strings.Join(DebianPackages, " "))
}
