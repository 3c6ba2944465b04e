// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package nodes runs a Kubernetes cluster with real nodes on this machine, without a container engine. The cluster has
// the control plane of test/cluster, an image registry, and nodes. Each node has a kubelet, containerd and kube-proxy
// in its own namespaces. Containers run, names resolve, Services have endpoints, and nodes can lose power. The package
// needs Linux and root. A machine can run one such cluster at a time.
package nodes

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/nodes/image"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// MaxNodes is the largest number of nodes.
	MaxNodes = 9

	// readyTimeout limits the start of the nodes and of CoreDNS, which takes less than half a minute on an idle machine.
	readyTimeout = 3 * time.Minute
	// offTimeout limits the time to turn a node off.
	offTimeout = 30 * time.Second

	registryProgram = "registry"
	// pauseImage is the image that kubelets use for pods. sampleImage is the image of samples and of the scorecard's pods.
	// dnsImage is the image of CoreDNS. The names are those in the upstream registry.
	pauseImage  = "pause:3.10.1"
	sampleImage = "pause:3.10"
	dnsImage    = "coredns/coredns:v1.15.0"
	upstream    = "registry.k8s.io/"
)

//go:embed manifests/dns.yaml
var dns []byte

// Options describe a cluster.
type Options struct {
	// Dir is the directory for the cluster's data, kubeconfig and logs.
	Dir string
	// Programs has the directories that Build returns.
	Programs Programs
	// Nodes is the number of nodes, 1 to MaxNodes: node-1, node-2, …
	Nodes int
	// CRDs are paths of CustomResourceDefinitions. Start creates them before the controller manager starts. Its garbage
	// collector may take 30 s to discover later ones.
	CRDs []string
	// Log gets the progress of the start. It may be nil.
	Log io.Writer
}

// Cluster is a cluster that Start has started.
type Cluster struct {
	control  *cluster.Cluster
	programs Programs
}

// Start starts a cluster that outlives this program. It returns when the nodes are Ready and names resolve. On an
// error, it leaves nothing behind.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if options.Nodes < 1 || options.Nodes > MaxNodes {
		return nil, fmt.Errorf("a cluster has 1 to %d nodes", MaxNodes)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("nodes need root")
	}
	if err := addBridge(ctx); err != nil {
		return nil, err
	}
	control, err := cluster.Start(ctx, cluster.Options{
		Dir:      options.Dir,
		Bin:      options.Programs.ControlPlane,
		Address:  hostAddress.String(),
		CRDs:     options.CRDs,
		Detached: true,
		Log:      options.Log,
	})
	if err != nil {
		return nil, errors.Join(err, removeBridge(context.WithoutCancel(ctx)))
	}
	c := &Cluster{control: control, programs: options.Programs}
	if err := c.bringUp(ctx, options); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// Load returns the cluster that Start has started in a directory from these programs. Without a cluster, the error is
// cluster.ErrNoCluster.
func Load(dir string, programs Programs) (*Cluster, error) {
	control, err := cluster.Load(dir)
	if err != nil {
		return nil, err
	}
	return &Cluster{control: control, programs: programs}, nil
}

// Kubeconfig returns the path of a kubeconfig for an administrator.
func (c *Cluster) Kubeconfig() string { return c.control.Kubeconfig() }

// Dir returns the directory of the cluster.
func (c *Cluster) Dir() string { return c.control.Dir() }

// bringUp starts everything but the control plane.
func (c *Cluster) bringUp(ctx context.Context, options Options) error {
	if options.Log == nil {
		options.Log = io.Discard
	}
	began := time.Now()
	report := func(message string) {
		_, _ = fmt.Fprintf(options.Log, "%5.1fs  %s\n", time.Since(began).Seconds(), message)
	}
	if err := c.startRegistry(ctx); err != nil {
		return err
	}
	report("the registry is ready at " + Registry)
	for i := range options.Nodes {
		if err := c.addNode(node(i+1), options.Nodes); err != nil {
			return err
		}
	}
	admin, err := client.New(c.control.RESTConfig(), client.Options{})
	if err != nil {
		return err
	}
	err = objects.Until(ctx, readyTimeout, func(ctx context.Context) error {
		return nodesReady(ctx, admin, options.Nodes)
	})
	if err != nil {
		return fmt.Errorf("wait for the nodes: %w\n%s", err, c.consoles())
	}
	report(fmt.Sprintf("%d nodes are Ready", options.Nodes))
	manifests, err := objects.Decode(bytes.NewReader(dns))
	if err != nil {
		return err
	}
	for _, object := range manifests {
		if err := objects.Apply(ctx, admin, object); err != nil {
			return err
		}
	}
	err = objects.Until(ctx, readyTimeout, func(ctx context.Context) error { return dnsReady(ctx, admin) })
	if err != nil {
		return fmt.Errorf("wait for CoreDNS: %w", err)
	}
	report("names resolve")
	return nil
}

// Stop turns the nodes off, stops the control plane, and removes everything that the cluster had on this machine. A
// second Stop does nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, MaxNodes*offTimeout)
	defer cancel()
	var errs []error
	for _, name := range c.Nodes() {
		errs = append(errs, c.PowerOff(ctx, name))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := c.control.Stop(ctx); err != nil {
		return err
	}
	return removeBridge(ctx)
}

// Nodes returns the names of the nodes, with and without power.
func (c *Cluster) Nodes() []string {
	var names []string
	for i := range MaxNodes {
		if _, found := c.control.Program(node(i + 1).name()); found {
			names = append(names, node(i+1).name())
		}
	}
	return names
}

// PowerOff cuts the power of a node. All its processes end at once, and the cluster gets no notice.
func (c *Cluster) PowerOff(ctx context.Context, name string) error {
	n, program, err := c.find(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, offTimeout)
	defer cancel()
	if err := program.Kill(ctx); err != nil {
		return err
	}
	return c.machineOff(ctx, n)
}

// PowerOn turns on a node without power. The node joins the cluster again by itself.
func (c *Cluster) PowerOn(name string) error {
	n, program, err := c.find(name)
	if err != nil {
		return err
	}
	if program.Alive() {
		return fmt.Errorf("%s has power", name)
	}
	return c.machineOn(n, len(c.Nodes()))
}

// find returns the node with a name.
func (c *Cluster) find(name string) (node, *cluster.Program, error) {
	i := slices.Index(c.Nodes(), name)
	if i < 0 {
		return 0, nil, fmt.Errorf("%q is none of the nodes %v", name, c.Nodes())
	}
	program, _ := c.control.Program(name)
	return node(i + 1), program, nil
}

// startRegistry starts the registry and fills it with the images that every node needs.
func (c *Cluster) startRegistry(ctx context.Context) error {
	dir, err := c.control.ProgramDir(registryProgram)
	if err != nil {
		return err
	}
	configuration := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, registryConfiguration, dir, Registry), 0o600); err != nil {
		return err
	}
	// Without this variable, the registry would look for a collector of traces.
	_, err = c.control.RunProgram(registryProgram, "/usr/bin/env", "OTEL_TRACES_EXPORTER=none",
		filepath.Join(c.programs.Nodes, registryProgram), "serve", configuration)
	if err != nil {
		return err
	}
	if err := objects.Until(ctx, readyTimeout, registryReady); err != nil {
		return fmt.Errorf("wait for the registry: %w", err)
	}
	pause := image.Of(filepath.Join(c.programs.Nodes, "pause"), 65535)
	for reference, content := range map[string]image.Image{
		pauseImage:  pause,
		sampleImage: pause,
		dnsImage:    image.Of(filepath.Join(c.programs.Nodes, "coredns"), 0),
	} {
		if _, err := image.Push(ctx, Registry+"/"+reference, content); err != nil {
			return err
		}
	}
	return nil
}

// registryReady returns an error unless the registry accepts connections.
func registryReady(ctx context.Context) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", Registry)
	if err != nil {
		return err
	}
	return connection.Close()
}

// registryConfiguration is the template of the registry's configuration. Its values are the directory and the address.
const registryConfiguration = `version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: %s/data
http:
  addr: %s
`

// consoles returns the end of the log of each node's first process.
func (c *Cluster) consoles() string {
	var text strings.Builder
	for _, name := range c.Nodes() {
		if program, found := c.control.Program(name); found {
			_, _ = fmt.Fprintf(&text, "%s:\n%s\n", name, program.LogTail())
		}
	}
	return text.String()
}

// nodesReady returns an error unless at least that many nodes are Ready.
func nodesReady(ctx context.Context, admin client.Client, want int) error {
	var nodes corev1.NodeList
	if err := admin.List(ctx, &nodes); err != nil {
		return err
	}
	ready := 0
	for _, node := range nodes.Items {
		if slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			ready++
		}
	}
	if ready < want {
		return fmt.Errorf("%d of %d nodes are Ready", ready, want)
	}
	return nil
}

// dnsReady returns an error unless all replicas of CoreDNS are ready.
func dnsReady(ctx context.Context, admin client.Client) error {
	var deployment appsv1.Deployment
	if err := admin.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, &deployment); err != nil {
		return err
	}
	if status := deployment.Status; status.ReadyReplicas < *deployment.Spec.Replicas {
		return fmt.Errorf("%d of %d replicas are ready", status.ReadyReplicas, *deployment.Spec.Replicas)
	}
	return nil
}

// command runs a program. If it fails, the error has its output.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", filepath.Base(name), args, err, out)
	}
	return nil
}
