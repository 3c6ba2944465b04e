// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a small Kubernetes cluster as processes on this machine, without root and without a container
// engine. The control plane (etcd, API server, controller manager, scheduler) is real, and kwok simulates the kubelets
// of the nodes. Pods are scheduled, start, become ready and terminate as objects, but no container runs.
//
// Build makes the programs, Start starts a cluster, and Stop ends it and removes its files. Any number of clusters can
// run at the same time. This package runs on Linux and other Unix systems.
package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Annotations of pods that control their simulation. Durations are numbers with the unit ms, s or m.
const (
	// ReadyAfterAnnotation is how long the pod runs before it becomes Ready, for example "2s", or ReadyNever. Without the
	// annotation, a pod is Ready at once. A change of the pod during that time restarts the time. A pod doesn't become
	// Ready if a patch of its status says that a container has restarted or doesn't run.
	ReadyAfterAnnotation = "cluster.lws-operator.dev/ready-after"
	// ReadyNever is the value of ReadyAfterAnnotation for a pod that runs, but doesn't become Ready.
	ReadyNever = "never"
	// TerminateAfterAnnotation is how long a deleted pod stays Terminating, for example "500ms", within its grace period.
	// Without the annotation, or with a value that isn't a duration, the pod disappears at once.
	TerminateAfterAnnotation = "cluster.lws-operator.dev/terminate-after"
)

const (
	// startTimeout limits one start of a cluster, which takes a few seconds on an idle machine.
	startTimeout = 3 * time.Minute
	// startAttempts is how often Start tries when another process takes a port that was free before.
	startAttempts = 3
	// startPoll is the interval of checks while components start.
	startPoll = 50 * time.Millisecond
	// watchInterval is the interval at which Wait checks that the components run.
	watchInterval = 250 * time.Millisecond
	// stateFile is the file in the cluster's directory that Load reads.
	stateFile = "cluster.json"
	// lockFile is the file in the cluster's directory that is locked by the program that started the cluster.
	lockFile = "lock"
)

var (
	// ErrRunning is the error of Start for a directory with a running cluster.
	ErrRunning = errors.New("a cluster already runs in this directory")
	// ErrNoCluster is the error of Load for a directory without a cluster.
	ErrNoCluster = errors.New("there is no cluster in this directory")

	// errPortTaken is the error of an attempt that Start repeats.
	errPortTaken = errors.New("another process has taken a port")
)

var (
	//go:embed simulation.yaml
	simulation []byte
	//go:embed audit-policy.yaml
	auditPolicy []byte
)

// Options describe a cluster. Dir and Bin are required.
type Options struct {
	// Dir is the directory for the cluster's data, kubeconfig and logs. Start creates it if it doesn't exist. An existing
	// directory must be empty, or have the files of a cluster that no longer runs.
	Dir string
	// Bin is the directory of the programs, as returned by Build.
	Bin string

	// Nodes is the number of simulated nodes: node-0, node-1, …
	Nodes int
	// Racks is the number of values of RackLabel, spread evenly over the nodes. With 0, the nodes don't have the label.
	Racks int
	// Zones is the number of values of topology.kubernetes.io/zone. The nodes of a rack are in one zone. With 0, the nodes
	// don't have the label.
	Zones int
	// NodeCapacity is the capacity of each node. It overrides or extends the defaults: 1000 CPUs, 4 TiB of memory and 1000
	// pods.
	NodeCapacity corev1.ResourceList

	// Address is the address of this machine at which kubelets of real nodes, and their pods, reach the API server. The
	// API server serves there instead of on the loopback address. With an Address there are no simulated nodes, and Start
	// starts no real ones. The caller starts them, gives them CAFile and a UserKubeconfig, and routes from this machine to
	// their pods.
	Address string

	// CRDs are paths of files and directories with CustomResourceDefinitions. Start creates them before the controller
	// manager starts. Its garbage collector may take 30 s to discover later ones.
	CRDs []string
	// FeatureGates are the feature gates of the API server, the controller manager and the scheduler.
	FeatureGates map[string]bool
	// RuntimeConfig enables or disables API versions, like "coordination.k8s.io/v1beta1": true.
	RuntimeConfig map[string]bool
	// DefaultLimits leaves the client limits of the controller manager and the scheduler, and the number of StatefulSet
	// workers, at the defaults of Kubernetes. Otherwise they are high enough to never matter.
	DefaultLimits bool
	// Audit makes the API server log every request to AuditLog.
	Audit bool

	// Detached lets the cluster outlive this program. Otherwise the cluster ends with the program, on Linux even after a
	// kill -9.
	Detached bool
	// Log gets the progress of the start. It may be nil.
	Log io.Writer
}

// complete validates the options, and returns them with absolute paths and defaults.
func (o Options) complete() (Options, error) {
	switch {
	case o.Dir == "" || o.Bin == "":
		return o, errors.New("a cluster needs the directories Dir and Bin")
	case o.Address != "" && o.Nodes != 0:
		return o, errors.New("a cluster has either simulated nodes or an Address for real ones")
	case o.Address != "" && net.ParseIP(o.Address) == nil:
		return o, fmt.Errorf("the Address %q isn't an IP address", o.Address)
	case o.Nodes < 0 || o.Racks < 0 || o.Zones < 0:
		return o, errors.New("the numbers of nodes, racks and zones can't be negative")
	case o.Racks > o.Nodes || o.Zones > o.Nodes:
		return o, fmt.Errorf("%d nodes are too few for %d racks and %d zones", o.Nodes, o.Racks, o.Zones)
	case o.Racks > 0 && o.Zones > o.Racks:
		return o, fmt.Errorf("%d racks are too few for %d zones: a rack is in one zone", o.Racks, o.Zones)
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	o.Bin, err = filepath.Abs(o.Bin)
	return o, err
}

// state is the content of stateFile: what a program needs to use or stop a running cluster.
type state struct {
	// MadeDir is true if Start created the cluster's directory.
	MadeDir bool   `json:"madeDir"`
	Server  string `json:"server"`
	// Detached is true if the processes outlive the program that started them.
	Detached  bool      `json:"detached"`
	Processes []process `json:"processes"`
	// Programs are the processes that RunProgram started.
	Programs []process `json:"programs,omitempty"`
}

// Cluster is a cluster that Start has started. Its methods, except Stop, are safe for concurrent use.
type Cluster struct {
	dir    string
	config *rest.Config
	// mutex guards state once the cluster is up.
	mutex sync.Mutex
	state state
	// setup has the arguments of the components. Only the program that started the cluster has it.
	setup setup
	// lock is the lock on lockFile. The program that started the cluster holds it until the end.
	lock *os.File
}

// Start starts a cluster and returns when it is usable: its nodes are Ready and the default service account exists. If
// that fails, or the context ends first, Start stops all processes, removes all files and returns an error. The error
// is ErrRunning if a cluster already runs in the directory. For a component that ended by itself, the error quotes the
// end of its log.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	var c *Cluster
	for range startAttempts {
		if c, err = start(ctx, options); !errors.Is(err, errPortTaken) {
			break
		}
	}
	return c, err
}

// start makes one attempt to start a cluster.
func start(ctx context.Context, options Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	c, err := claim(options.Dir)
	if err != nil {
		return nil, err
	}
	c.state.Detached = options.Detached
	if err := c.bringUp(ctx, options); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	if options.Detached {
		closeQuietly(c.lock)
	}
	return c, nil
}

// claim makes the directory of a cluster and takes its lock. It removes the files of a cluster that was killed. It
// refuses a directory with any other files.
func claim(dir string) (*Cluster, error) {
	_, err := os.Stat(dir)
	c := &Cluster{dir: dir, state: state{MadeDir: errors.Is(err, fs.ErrNotExist)}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	old, err := Load(dir)
	if err != nil && !errors.Is(err, ErrNoCluster) {
		return nil, err
	}
	for _, entry := range entries {
		if old == nil && entry.Name() != lockFile {
			return nil, fmt.Errorf("%s isn't empty, and isn't the directory of a cluster", dir)
		}
	}
	if c.lock, err = acquireLock(filepath.Join(dir, lockFile)); errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s: %w", dir, ErrRunning)
	} else if err != nil {
		return nil, err
	}
	if old == nil {
		return c, nil
	}
	if old.anyAlive() {
		closeQuietly(c.lock)
		return nil, fmt.Errorf("%s: %w", dir, ErrRunning)
	}
	c.state.MadeDir = old.state.MadeDir
	if err := c.removeFiles(lockFile); err != nil {
		closeQuietly(c.lock)
		return nil, err
	}
	return c, nil
}

// bringUp starts the components one after the other, each when the components that it needs are healthy.
func (c *Cluster) bringUp(ctx context.Context, options Options) error {
	began := time.Now()
	report := func(format string, args ...any) {
		_, _ = fmt.Fprintf(options.Log, "%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	ports, err := FreePorts(etcd, apiServer, controllerManager, scheduler)
	if err != nil {
		return err
	}
	s := setup{Options: options, ports: ports}
	c.setup = s
	if err := c.writeFiles(s); err != nil {
		return err
	}
	probe, err := s.probe()
	if err != nil {
		return err
	}
	defer probe.CloseIdleConnections()

	if err := c.launch(ctx, s, probe, etcd, "/health"); err != nil {
		return err
	}
	report("etcd is healthy")
	if err := c.launch(ctx, s, probe, apiServer, "/readyz"); err != nil {
		return err
	}
	report("the API server is ready at %s", c.state.Server)
	if err := c.installCRDs(options.CRDs); err != nil {
		return err
	}
	for _, component := range s.controlLoops() {
		if err := c.spawn(s, component); err != nil {
			return err
		}
	}
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return err
	}
	if err := createNodes(ctx, client, options); err != nil {
		return err
	}
	for _, component := range []string{controllerManager, scheduler} {
		if err := c.untilHealthy(ctx, s, probe, component, "/healthz"); err != nil {
			return err
		}
	}
	report("controllers and scheduler are healthy")
	if err := c.untilUsable(ctx, client, options.Nodes); err != nil {
		return err
	}
	if options.Address == "" {
		report("%d nodes are Ready", options.Nodes)
	}
	return nil
}

// writeFiles writes the files that the components read, and the state.
func (c *Cluster) writeFiles(s setup) error {
	for _, dir := range []string{"logs", "run", "users"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			return err
		}
	}
	c.state.Server = s.url(apiServer)
	if err := c.save(); err != nil {
		return err
	}
	ca, err := writeCredentials(s.path("pki"), s.Address)
	if err != nil {
		return err
	}
	for _, component := range []string{controllerManager, scheduler} {
		if err := ca.writeKubeconfig(s.kubeconfig(component), c.state.Server, "system:"+component); err != nil {
			return err
		}
	}
	if err := ca.writeKubeconfig(s.kubeconfig(kwok), c.state.Server, kwok, "system:masters"); err != nil {
		return err
	}
	if err := ca.writeKubeconfig(c.Kubeconfig(), c.state.Server, "admin", "system:masters"); err != nil {
		return err
	}
	if c.config, err = loadConfig(c.Kubeconfig()); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("simulation.yaml"), simulation, 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.path("audit-policy.yaml"), auditPolicy, 0o600)
}

// save writes the state. From then on, any program can stop the cluster.
func (c *Cluster) save() error {
	data, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, stateFile), data, 0o600)
}

// spawn starts a component, without waiting for it.
func (c *Cluster) spawn(s setup, component string) error {
	p, err := spawn(filepath.Join(s.Bin, component), s.args(component), process{
		Name: component,
		Lock: s.path("run", component+".lock"),
		Log:  s.path("logs", component+".log"),
	}, s.Detached)
	if err != nil {
		return fmt.Errorf("start %s: %w", component, err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.state.Processes = append(slices.DeleteFunc(c.state.Processes, p.sameName), p)
	return c.save()
}

// launch starts a component and waits until it is healthy.
func (c *Cluster) launch(ctx context.Context, s setup, probe *http.Client, component, path string) error {
	if err := c.spawn(s, component); err != nil {
		return err
	}
	return c.untilHealthy(ctx, s, probe, component, path)
}

// untilHealthy waits until a component answers with OK at a path.
func (c *Cluster) untilHealthy(ctx context.Context, s setup, probe *http.Client, component, path string) error {
	return c.until(ctx, component, func(ctx context.Context) error {
		return get(ctx, probe, s.url(component)+path)
	})
}

// untilUsable waits until pods can be created and scheduled.
func (c *Cluster) untilUsable(ctx context.Context, client kubernetes.Interface, nodes int) error {
	err := c.until(ctx, "the default service account", func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return c.until(ctx, "nodes", func(ctx context.Context) error {
		list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		return schedulable(list.Items, nodes)
	})
}

// until repeats a check until it succeeds. It fails when the context is done or a component has ended.
func (c *Cluster) until(ctx context.Context, what string, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, startPoll, true, func(ctx context.Context) (bool, error) {
		if err := c.ended(); err != nil {
			return false, err
		}
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait for %s: %w; last seen: %w", what, context.Cause(ctx), last)
	}
	return err
}

// ended returns an error about the first component that has ended, with the end of its log.
func (c *Cluster) ended() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, p := range c.state.Processes {
		if p.alive() {
			continue
		}
		tail := p.logTail()
		err := fmt.Errorf("%s has ended; the end of its log:\n%s", p.Name, tail)
		if strings.Contains(tail, "address already in use") {
			return errors.Join(errPortTaken, err)
		}
		return err
	}
	return nil
}

// anyAlive reports whether any component runs.
func (c *Cluster) anyAlive() bool {
	return slices.ContainsFunc(c.state.Processes, process.alive)
}

// installCRDs creates the CustomResourceDefinitions at the paths and waits until they are served.
func (c *Cluster) installCRDs(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	_, err := envtest.InstallCRDs(c.RESTConfig(), envtest.CRDInstallOptions{
		Paths:              paths,
		ErrorIfPathMissing: true,
		MaxTime:            startTimeout,
		PollInterval:       startPoll,
	})
	if err != nil {
		return fmt.Errorf("install CRDs: %w", err)
	}
	return nil
}

// Load returns the cluster that this program or another one started in a directory. The cluster may have ended. Without
// a cluster, the error is ErrNoCluster.
func Load(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoCluster)
	} else if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &c.state); err != nil {
		return nil, fmt.Errorf("read %s: %w", stateFile, err)
	}
	c.config, err = loadConfig(c.Kubeconfig())
	if errors.Is(err, fs.ErrNotExist) { // The start was killed early, but Stop still works.
		err = nil
	}
	return c, err
}

// Stop ends the cluster and removes its files, including the directory if Start made it. It sends SIGTERM to programs
// and components, to the API server and etcd last. It kills processes that take more than a second, or that still run
// when the context is done. After Stop without an error, no process and no file is left. A second Stop does nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	if err := stopProcesses(ctx, c.state.Programs...); err != nil {
		return err
	}
	for _, names := range [][]string{{kwok, scheduler, controllerManager}, {apiServer}, {etcd}} {
		if err := stopProcesses(ctx, c.named(names...)...); err != nil {
			return err
		}
	}
	if c.lock != nil {
		defer closeQuietly(c.lock) // Last, so that no start claims the directory before its files are removed.
	}
	if err := c.removeFiles(); err != nil {
		return err
	}
	if c.state.MadeDir {
		if err := os.Remove(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// named returns the processes of the components with these names, in this order. It omits components that didn't start.
func (c *Cluster) named(names ...string) []process {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var processes []process
	for _, name := range names {
		for _, p := range c.state.Processes {
			if p.Name == name {
				processes = append(processes, p)
			}
		}
	}
	return processes
}

// removeFiles removes the files that a cluster writes to its directory, except the given names. It keeps any other
// file.
func (c *Cluster) removeFiles(except ...string) error {
	// The state goes last, so that Load finds the cluster while any file is left.
	for _, name := range []string{
		"etcd", "logs", "pki", "programs", "run", "users", "kubeconfig", "audit.log", "simulation.yaml", "audit-policy.yaml",
		lockFile, stateFile,
	} {
		if slices.Contains(except, name) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Wait blocks until the context is done or a component has ended. Only the end of a component is an error.
func (c *Cluster) Wait(ctx context.Context) error {
	var ended error
	// The poll returns an error only when the context is done.
	_ = wait.PollUntilContextCancel(ctx, watchInterval, true, func(context.Context) (bool, error) {
		ended = c.ended()
		return ended != nil, nil
	})
	return ended
}

// Dir returns the absolute path of the cluster's directory.
func (c *Cluster) Dir() string {
	return c.dir
}

// Kubeconfig returns the path of a kubeconfig for an administrator. Stop removes it.
func (c *Cluster) Kubeconfig() string {
	return filepath.Join(c.dir, "kubeconfig")
}

// CAFile returns the path of the certificate of the authority that signs every certificate of the cluster. Stop removes
// it.
func (c *Cluster) CAFile() string {
	return filepath.Join(c.dir, "pki", "ca.crt")
}

// AuditLog returns the path of the file with one JSON object per request, which Options.Audit enables. Stop removes it.
func (c *Cluster) AuditLog() string {
	return filepath.Join(c.dir, "audit.log")
}

// PIDs returns the process IDs of the cluster's components. After Stop, they are meaningless.
func (c *Cluster) PIDs() []int {
	pids := make([]int, len(c.state.Processes))
	for i, p := range c.state.Processes {
		pids[i] = p.PID
	}
	return pids
}

// RESTConfig returns a configuration for clients of an administrator, without client-side limits. The caller may change
// it.
func (c *Cluster) RESTConfig() *rest.Config {
	return rest.CopyConfig(c.config)
}

// UserKubeconfig writes a kubeconfig for any user and returns its path. The user is a member of the groups, and of
// system:authenticated. RBAC limits what the user may do. A service account is the user
// system:serviceaccount:<namespace>:<name> in the groups system:serviceaccounts and system:serviceaccounts:<namespace>.
// Stop removes the file.
func (c *Cluster) UserKubeconfig(user string, groups ...string) (string, error) {
	ca, err := loadAuthority(filepath.Join(c.dir, "pki"))
	if err != nil {
		return "", err
	}
	name := strings.NewReplacer(":", "-", "/", "-").Replace(user)
	file, err := os.CreateTemp(filepath.Join(c.dir, "users"), name+"-*.kubeconfig")
	if err != nil {
		return "", err
	}
	closeQuietly(file)
	return file.Name(), ca.writeKubeconfig(file.Name(), c.state.Server, user, groups...)
}

// loadConfig reads a kubeconfig and disables the client-side limits.
func loadConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

// probe returns a client that trusts the components, and that etcd trusts. The client is made from certificates in
// memory. For certificates in files, client-go would return the cached client of an earlier cluster in the same
// directory, which doesn't trust this cluster.
func (s setup) probe() (*http.Client, error) {
	ca, err := loadAuthority(s.path("pki"))
	if err != nil {
		return nil, err
	}
	certificate, key, err := ca.client("probe")
	if err != nil {
		return nil, err
	}
	return rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{
		CAData:   encodeCertificate(ca.certificate.Raw),
		CertData: certificate,
		KeyData:  key,
	}})
}

// get returns an error unless the URL answers with OK.
func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
