// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// Newest is the minor version of Kubernetes in components/go.mod. The modules of each other version are in a file
	// beside it, such as 1.34.mod.
	Newest = "1.37"

	// versionVariable names the environment variable with the minor version of Kubernetes.
	versionVariable = "KUBERNETES"
	// kubernetesModule is the module of the control plane.
	kubernetesModule = "k8s.io/kubernetes"
	// stampExtension is that of the file with the hash of the sources of a binary.
	stampExtension = ".stamp"
	// versionPackage has the variables for the version that the components and kubectl report. The linker sets them.
	versionPackage = "k8s.io/component-base/version"
	// reportInterval is the time between two lines about the progress of a build if the output isn't a terminal.
	reportInterval = 15 * time.Second
	// buildPoll is the interval at which a build checks whether another build has ended.
	buildPoll = 200 * time.Millisecond
	// interruptGrace is how long an interrupted go command may take to stop its compilers.
	interruptGrace = 5 * time.Second
)

// Root returns the root of the repository. The working directory may be anywhere inside the repository.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(componentsDir(dir), "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is outside of the repository")
		}
		dir = parent
	}
}

// componentsDir returns the directory of the components' sources in the repository at root.
func componentsDir(root string) string {
	return filepath.Join(root, "test", "cluster", "components")
}

// Version returns the minor version of Kubernetes that Build makes, such as "1.34": the environment variable
// KUBERNETES, or Newest if it isn't set.
func Version() string { return cmp.Or(os.Getenv(versionVariable), Newest) }

// Bin returns the directory where Build puts the programs of Version in the repository at root.
func Bin(root string) string { return filepath.Join(root, "bin", "cluster", Version()) }

// source is what one binary is built from.
type source struct {
	// dir is the directory of the main package.
	dir string
	// modfile is the file in dir with the versions of all modules.
	modfile string
	// contents names the programs of the binary in the report of a build. module is the module of the first one.
	contents, module string
}

// sourceOfKwok returns the source of kwok in the repository at root. All versions of Kubernetes share it.
func sourceOfKwok(root string) source {
	return source{
		dir: filepath.Join(root, "test", "cluster", "kwok"), modfile: "go.mod",
		contents: "kwok, which simulates kubelets", module: "sigs.k8s.io/kwok",
	}
}

// sourceOf returns the source of a control plane and kubectl, for a minor version of Kubernetes, in the repository at
// root. All versions share the main package.
func sourceOf(root, version string) (source, error) {
	s := source{
		dir: componentsDir(root), modfile: "go.mod",
		contents: "etcd, the control plane of Kubernetes and kubectl", module: kubernetesModule,
	}
	if version == Newest {
		return s, nil
	}
	others, err := otherVersions(root)
	if err != nil {
		return source{}, err
	}
	if !slices.Contains(others, version) {
		return source{}, fmt.Errorf("%s is %q: want one of %s", versionVariable, version,
			strings.Join(append(others, Newest), ", "))
	}
	s.modfile = version + ".mod"
	return s, nil
}

// otherVersions returns the minor versions of Kubernetes before Newest that the repository at root has modules for.
func otherVersions(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(componentsDir(root), "1.*.mod"))
	if err != nil {
		return nil, err
	}
	versions := make([]string, 0, len(files))
	for _, file := range files {
		versions = append(versions, strings.TrimSuffix(filepath.Base(file), ".mod"))
	}
	return versions, nil
}

// Build makes the programs of a cluster of Version, and kubectl, from the repository at root. It returns their
// directory, Bin. If the programs are up to date, Build returns at once. Otherwise it compiles Kubernetes, which takes
// some minutes the first time. Build reports its progress to out: on a terminal in one changing line, elsewhere in a
// line every reportInterval.
func Build(ctx context.Context, root string, out io.Writer) (string, error) {
	bin := Bin(root)
	plane, err := sourceOf(root, Version())
	if err != nil {
		return "", err
	}
	if err := plane.build(ctx, filepath.Join(bin, "components"), out); err != nil {
		return "", fmt.Errorf("build a control plane of Kubernetes %s: %w", Version(), err)
	}
	for _, program := range []string{etcd, apiServer, controllerManager, scheduler, "kubectl"} {
		if err := link("components", filepath.Join(bin, program)); err != nil {
			return "", err
		}
	}
	simulator := filepath.Join(filepath.Dir(bin), kwok)
	if err := sourceOfKwok(root).build(ctx, simulator, out); err != nil {
		return "", fmt.Errorf("build kwok: %w", err)
	}
	return bin, link(filepath.Join("..", kwok), filepath.Join(bin, kwok))
}

// build makes a binary from the source, unless it is up to date. A stamp beside it has the hash of its source.
func (s source) build(ctx context.Context, binary string, out io.Writer) error {
	stamp, err := s.stamp(ctx)
	if err != nil {
		return err
	}
	if upToDate(binary, stamp) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	lock, err := lockBuild(ctx, binary+".lock", out)
	if err != nil {
		return err
	}
	defer closeQuietly(lock)
	if upToDate(binary, stamp) { // Another process has built it in the meantime.
		return nil
	}
	if err := s.compile(ctx, binary, out); err != nil {
		return err
	}
	return os.WriteFile(binary+stampExtension, []byte(stamp), 0o600)
}

// stamp returns a hash of everything that determines the binary: the package, the versions of all modules, and the Go
// toolchain.
func (s source) stamp(ctx context.Context) (string, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.go"))
	if err != nil {
		return "", err
	}
	modules := filepath.Join(s.dir, s.modfile)
	hash := sha256.New()
	for _, path := range append(files, modules, strings.TrimSuffix(modules, ".mod")+".sum") {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(hash, "%s %d\n", filepath.Base(path), len(data)) // Writing to a hash never fails.
		_, _ = hash.Write(data)
	}
	version, err := goCommand(ctx, s.dir, "version").Output()
	if err != nil {
		return "", fmt.Errorf("go version: %w", err)
	}
	_, _ = hash.Write(version)
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// upToDate reports whether the binary exists, built from the sources with that stamp.
func upToDate(binary, stamp string) bool {
	if _, err := os.Stat(binary); err != nil {
		return false
	}
	data, err := os.ReadFile(binary + stampExtension)
	return err == nil && string(data) == stamp
}

// lockBuild takes the lock on builds. If another process is building, lockBuild waits for its end.
func lockBuild(ctx context.Context, path string, out io.Writer) (*os.File, error) {
	lock, err := acquireLock(path)
	if !errors.Is(err, errLocked) {
		return lock, err
	}
	_, _ = fmt.Fprintln(out, "Another process builds the programs of the local cluster; waiting for its end.")
	err = wait.PollUntilContextCancel(ctx, buildPoll, true, func(context.Context) (bool, error) {
		var err error
		if lock, err = acquireLock(path); errors.Is(err, errLocked) {
			return false, nil
		}
		return err == nil, err
	})
	return lock, err
}

// link makes path a symbolic link to target, and replaces any other file at path. Other processes find the link at any
// time.
func link(target, path string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	fresh, err := os.MkdirTemp(filepath.Dir(path), ".link-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := os.Symlink(target, filepath.Join(fresh, "link")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(fresh, "link"), path)
}

// compile builds the main package to output. It replaces an existing output instead of overwriting it, so that
// running clusters keep their programs.
func (s source) compile(ctx context.Context, output string, out io.Writer) error {
	version, err := s.version(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "Building %s, version %s.\n"+
		"The first build downloads and compiles all of it, which takes some minutes.\n", s.contents, version)
	flags, err := s.linkerFlags(version)
	if err != nil {
		return err
	}
	p := newProgress(out)
	defer p.close()
	var packages bytes.Buffer
	list := s.goCommand(ctx, "list", "-deps", "-f", "{{.ImportPath}}", ".")
	list.Stdout = &packages
	if err := p.follow(list); err != nil {
		return err
	}
	p.expect(strings.Fields(packages.String()))
	fresh := output + ".new"
	build := s.goCommand(ctx, "build", "-v", "-buildvcs=false", "-ldflags", flags, "-o", fresh, ".")
	if err := p.follow(build); err != nil {
		return err
	}
	return os.Rename(fresh, output)
}

// version returns the exact version of the source's main module, such as "v1.34.4".
func (s source) version(ctx context.Context) (string, error) {
	output, err := s.goCommand(ctx, "list", "-m", "-f", "{{.Version}}", s.module).Output()
	if err != nil {
		return "", fmt.Errorf("look up the version of %s: %w", s.module, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// linkerFlags returns the flags that omit debug information and set the version of Kubernetes in its binary. Without
// that, the API server and kubectl report the version v0.0.0.
func (s source) linkerFlags(version string) (string, error) {
	const small = "-s -w"
	if s.module != kubernetesModule {
		return small, nil
	}
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(numbers) != 3 {
		return "", fmt.Errorf("%q isn't a version", version)
	}
	return fmt.Sprintf(small+" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
		versionPackage, version, numbers[0], numbers[1]), nil
}

// goCommand returns a go command about the modules of the source.
func (s source) goCommand(ctx context.Context, subcommand string, args ...string) *exec.Cmd {
	return goCommand(ctx, s.dir, append([]string{subcommand, "-modfile=" + s.modfile}, args...)...)
}

// goCommand returns a go command that runs in dir, makes static binaries, and stops its compilers when the context is
// done.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = interruptGrace
	return cmd
}

// progress reports the progress of a build, from the output of the go command.
type progress struct {
	out      io.Writer
	terminal bool
	last     time.Time
	// expected has the packages of the build. compiled counts the packages that go build has named.
	expected map[string]bool
	compiled int
}

// newProgress returns a progress that reports to out.
func newProgress(out io.Writer) *progress {
	p := &progress{out: out, last: time.Now()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// expect sets the packages of the build. Go doesn't compile packages in its build cache again.
func (p *progress) expect(packages []string) {
	p.expected = make(map[string]bool, len(packages))
	for _, name := range packages {
		p.expected[name] = true
	}
}

// follow runs a go command and reports its progress. If the command fails, the error quotes its other output.
func (p *progress) follow(cmd *exec.Cmd) error {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var otherOutput []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if message := p.message(lines.Text()); message != "" {
			p.report(message)
		} else {
			otherOutput = append(otherOutput, lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", cmd.Args[1], err, strings.Join(otherOutput, "\n"))
	}
	return nil
}

// message returns the report about a line of a go command, or nothing if the line isn't about progress.
func (p *progress) message(line string) string {
	if module, ok := strings.CutPrefix(line, "go: downloading "); ok {
		return "downloading " + module
	}
	if !p.expected[line] {
		return ""
	}
	p.compiled++
	return fmt.Sprintf("compiling %d of %d packages: %s", p.compiled, len(p.expected), line)
}

// report prints a message. On a terminal the message replaces the last one. Elsewhere report skips messages within
// reportInterval of the last one.
func (p *progress) report(message string) {
	switch {
	case p.terminal:
		const clearLine, width = "\r\x1b[K", 79 // A longer line would wrap, and the next message wouldn't clear all of it.
		_, _ = fmt.Fprint(p.out, clearLine+message[:min(len(message), width)])
	case time.Since(p.last) >= reportInterval:
		_, _ = fmt.Fprintln(p.out, message)
		p.last = time.Now()
	}
}

// close ends the line on a terminal.
func (p *progress) close() {
	if p.terminal {
		_, _ = fmt.Fprintln(p.out)
	}
}
