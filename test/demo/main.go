// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the operator on a local cluster. "demo up" builds the missing programs, starts a cluster with the
// operator, creates the sample and prints its objects. "demo down" stops the cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	// nodes, racks and zones are enough for a rack for each group of the sample.
	nodes, racks, zones = 12, 4, 2

	// samplesTimeout bounds the wait for the sample to become available.
	samplesTimeout = "60s"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	log.SetLogger(logr.Discard()) // The demo doesn't show the clients' logs.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	d := &demo{root: root, dir: filepath.Join(root, "bin", "run", "demo")}
	switch {
	case len(args) == 1 && args[0] == "up":
		return d.up(ctx)
	case len(args) == 1 && args[0] == "down":
		return d.down(ctx)
	default:
		return errors.New("usage: demo up|down")
	}
}

// demo is the demo of one checkout.
type demo struct {
	root string // of the checkout
	dir  string // of the cluster
}

// up replaces a running demo by a new one. If the start fails, up stops the cluster.
func (d *demo) up(ctx context.Context) error {
	bin, err := cluster.Build(ctx, d.root, os.Stdout)
	if err != nil {
		return err
	}
	say("Building the operator")
	manager, err := operator.Build(ctx, d.root)
	if err != nil {
		return err
	}
	if err := d.down(ctx); err != nil {
		return err
	}
	say("Starting a control plane with %d simulated nodes", nodes)
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: d.dir, Bin: bin, Nodes: nodes, Racks: racks, Zones: zones, Detached: true, Log: os.Stdout,
		CRDs: []string{filepath.Join(d.root, "config", "crd", "bases")},
	})
	if err != nil {
		return err
	}
	if err := d.show(ctx, c, manager); err != nil {
		return errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// show installs the operator, creates the sample, and prints the objects and the next commands to try.
func (d *demo) show(ctx context.Context, c *cluster.Cluster, manager string) error {
	say("Installing the CRD, the operator and its webhooks")
	if _, err := operator.Install(ctx, c, d.root, manager); err != nil {
		return err
	}
	sample := filepath.Join("config", "samples", "leaderworkerset_v1_leaderworkerset.yaml")
	say("Applying %s: three groups of four pods", sample)
	began := time.Now()
	for _, args := range [][]string{
		{"apply", "-f", sample},
		{"wait", "lws/leaderworkerset-sample", "--for=condition=Available", "--timeout=" + samplesTimeout},
	} {
		if err := d.kubectl(ctx, c, args...); err != nil {
			return err
		}
	}
	say("Ready after %.1f s", time.Since(began).Seconds())
	for _, args := range [][]string{
		{"get", "lws"},
		{"get", "pods", "-L", "leaderworkerset.sigs.k8s.io/group-index,leaderworkerset.sigs.k8s.io/worker-index"},
	} {
		fmt.Printf("\n$ kubectl %s\n", strings.Join(args, " "))
		if err := d.kubectl(ctx, c, args...); err != nil {
			return err
		}
	}
	fmt.Printf(next, relative(d.root, c.Kubeconfig()), relative(d.root, cluster.Bin(d.root)),
		relative(d.root, filepath.Join(c.Dir(), "logs", "operator.log")))
	return nil
}

// next lists commands to try. Users without kubectl can use the one that was built for the cluster.
const next = `
To explore further:

  export KUBECONFIG=%s
  export PATH=$PWD/%s:$PATH             # if you have no kubectl

  kubectl explain lws.spec.leaderWorkerTemplate
  kubectl describe lws leaderworkerset-sample
  kubectl scale lws leaderworkerset-sample --replicas=5
  kubectl get pod leaderworkerset-sample-0-1 -o jsonpath='{.spec.containers[0].env}'
  kubectl delete lws leaderworkerset-sample

The operator logs to %s. To stop it all: make demo-down
`

// down stops the demo if it runs.
func (d *demo) down(ctx context.Context) error {
	c, err := cluster.Load(d.dir)
	if errors.Is(err, cluster.ErrNoCluster) {
		return nil
	}
	if err != nil {
		return err
	}
	say("Stopping the cluster")
	return c.Stop(ctx)
}

func (d *demo) kubectl(ctx context.Context, c *cluster.Cluster, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(cluster.Bin(d.root), "kubectl"), args...)
	command.Dir = d.root
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w", args[0], err)
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf("==> "+format+"\n", args...) }

// relative returns the path relative to the root, which is the working directory of the demo.
func relative(root, path string) string {
	if short, err := filepath.Rel(root, path); err == nil {
		return short
	}
	return path
}
