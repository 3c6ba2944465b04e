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
	// ControlPlane is the directory that cluster.Build returns. Nodes is the directory of all other programs.
	ControlPlane, Nodes string
}

// ProgramsIn returns the directories that Build fills in the repository at root.
func ProgramsIn(root string) Programs {
	return Programs{ControlPlane: cluster.Bin(root), Nodes: filepath.Join(root, "bin", "nodes")}
}

// DebianPackages are the packages of Debian, and of distributions like it, that Build and Start need.
var DebianPackages = []string{"gcc", "iproute2", "libc6-dev", "libseccomp-dev", "nftables", "pkg-config"}

// The Go modules and packages that programs are built from.
const (
	containerd = "github.com/containerd/containerd/v2"
	plugins    = "github.com/containernetworking/plugins/plugins"
	runc       = "github.com/opencontainers/runc"
	registry   = "github.com/distribution/distribution/v3/cmd/registry"
	kubernetes = "k8s.io/kubernetes"
	olm        = "github.com/operator-framework/operator-lifecycle-manager"
	// runtimeModule is the module that requires their versions, except those of Kubernetes and OLM.
	runtimeModule = "programs/runtime"
	// versionPackage has the variables for the version of Kubernetes.
	versionPackage = "k8s.io/component-base/version"
)

// program is one build of executables from packages of a module.
type program struct {
	// module is a directory below test/nodes.
	module   string
	packages []string
	// output is a file, or a directory if it ends in a slash, below the directory of programs.
	output string
	tags   string
	// cgo is true for a build with a C compiler, which links dynamically.
	cgo bool
	// version is the module whose version the linker sets by versionFlags.
	version      string
	versionFlags string
}

// programs has all builds but those of OLM. In versionFlags, %[1]s is the version without the v, %[2]s is its first
// number, and %[3]s is its second number.
var programs = []program{
	{
		module: "programs/kubernetes", packages: []string{"."}, output: "kubernetes", version: kubernetes,
		versionFlags: "-X " + versionPackage + ".gitVersion=v%[1]s " +
			"-X " + versionPackage + ".gitMajor=%[2]s -X " + versionPackage + ".gitMinor=%[3]s",
	},
	{
		module:   runtimeModule,
		packages: []string{containerd + "/cmd/containerd", containerd + "/cmd/containerd-shim-runc-v2"},
		output:   "./", tags: "no_btrfs,no_devmapper,no_zfs,no_aufs",
		version: containerd, versionFlags: "-X " + containerd + "/version.Version=v%[1]s",
	},
	{
		module: runtimeModule, packages: []string{runc}, output: "runc",
		tags: "seccomp,urfave_cli_no_docs", cgo: true,
		version: runc, versionFlags: "-X main.version=%[1]s",
	},
	{
		module: runtimeModule,
		packages: []string{
			plugins + "/main/bridge", plugins + "/main/loopback", plugins + "/ipam/host-local", plugins + "/meta/portmap",
		},
		output: "cni/",
	},
	{module: runtimeModule, packages: []string{registry}, output: "registry"},
	{module: "programs/dns", packages: []string{"."}, output: "coredns"},
	{module: ".", packages: []string{"./machine", "./cmd/nodes"}, output: "./"},
}

// olmPrograms has the build of OLM's programs, and of the program that prints OLM's manifests.
var olmPrograms = []program{
	{
		module: "programs/olm",
		packages: []string{
			olm + "/cmd/olm", olm + "/cmd/catalog", olm + "/cmd/package-server", olm + "/cmd/copy-content",
			olm + "/util/cpb", "./cp", "./manifests",
		},
		output: "olm/",
		tags:   "json1,containers_image_openpgp,exclude_graphdriver_btrfs",
	},
}

// links has the names under which a binary with several programs is called.
var links = map[string]string{"kubelet": "kubernetes", "kube-proxy": "kubernetes"}

// Build makes the programs of the control plane and of the nodes in the repository at root. It compiles only programs
// that aren't up to date. The first build takes some minutes, mostly for Kubernetes and containerd. out gets the
// progress.
func Build(ctx context.Context, root string, out io.Writer) (Programs, error) {
	made := ProgramsIn(root)
	if cluster.Version() != cluster.Newest {
		return made, fmt.Errorf("real nodes have Kubernetes %s alone, not %s", cluster.Newest, cluster.Version())
	}
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

// BuildOLM makes the programs of the Operator Lifecycle Manager in the repository at root. The directory that it
// returns has the programs, and the chart with the manifests. The first build takes some minutes. out gets the
// progress.
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

// buildAll builds programs into the directory bin. Their modules are below the directory source.
func buildAll(ctx context.Context, programs []program, source, bin string, out io.Writer) error {
	for _, p := range programs {
		_, _ = fmt.Fprintf(out, "building %s\n", strings.Join(p.names(), ", "))
		if err := p.build(ctx, source, bin); err != nil {
			return fmt.Errorf("build %s: %w", strings.Join(p.names(), ", "), err)
		}
	}
	return nil
}

// names returns the usual names of the programs.
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

// build builds the programs into the directory bin. The module is below the directory source.
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
	return run(cmd)
}

// buildPause compiles pause, which keeps the namespaces of a pod open, from its source in the module of Kubernetes.
func buildPause(ctx context.Context, module, output string) error {
	dir, err := moduleInfo(ctx, module, kubernetes, "{{.Dir}}")
	if err != nil {
		return err
	}
	source := filepath.Join(dir, "build", "pause", "linux", "pause.c")
	return run(exec.CommandContext(ctx, "gcc", "-O2", "-static", "-s", "-o", output, source))
}

// moduleInfo returns the output of a `go list` template about a dependency of a module.
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

// goEnvironment returns the environment of the go command.
func goEnvironment(cgo bool) []string {
	enabled := "0"
	if cgo {
		enabled = "1"
	}
	return append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+enabled)
}

// run runs a command. If the command fails, the error has its output.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}

// checkTools returns an error that lists the missing tools, and how to install them.
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
