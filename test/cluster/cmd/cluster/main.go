// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command cluster starts and stops a small Kubernetes cluster on this machine. The README of the cluster package
// describes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

const usage = `Runs a small Kubernetes cluster on this machine, with a real control plane and simulated nodes.
Pods are scheduled, become ready and terminate as objects, but no container runs.

Usage:
  go run ./test/cluster/cmd/cluster <command> [flags]

Commands:
  build   build the programs, including kubectl, into bin/cluster/<version of Kubernetes>
  start   start a cluster in the background and print how to reach it
  run     run a cluster until Ctrl-C
  stop    stop the cluster in --dir and remove its files

The environment variable KUBERNETES is the minor version of Kubernetes, such as 1.34. The default is the newest one.

Flags:
`

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run runs one command until it has ended or is interrupted.
func run(args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	options := cluster.Options{Log: os.Stderr}
	flags := newFlags(&options, root)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return errors.New("want one command; --help lists the commands")
	}
	switch command := flags.Arg(0); command {
	case "build":
		bin, err := cluster.Build(ctx, root, os.Stderr)
		if err != nil {
			return err
		}
		fmt.Println(bin)
		return nil
	case "start":
		return start(ctx, root, options)
	case "run":
		return foreground(ctx, root, options)
	case "stop":
		return stop(ctx, options.Dir)
	default:
		return fmt.Errorf("unknown command %q; --help lists the commands", command)
	}
}

// newFlags returns the flags that set the options.
func newFlags(o *cluster.Options, root string) *pflag.FlagSet {
	flags := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {
		fmt.Fprint(os.Stderr, usage, flags.FlagUsages())
	}
	flags.StringVar(&o.Dir, "dir", filepath.Join(root, "bin", "run", "cluster"),
		"directory of the cluster's data and kubeconfig; one per cluster")
	flags.IntVar(&o.Nodes, "nodes", 8, "number of simulated nodes")
	flags.IntVar(&o.Racks, "racks", 4, `number of racks, values of the node label "rack"`)
	flags.IntVar(&o.Zones, "zones", 2, `number of zones, values of the node label "topology.kubernetes.io/zone"`)
	flags.StringSliceVar(&o.CRDs, "crds", nil, "files and directories of CustomResourceDefinitions to install")
	flags.Var(switches{&o.FeatureGates}, "feature-gates", "feature gates of the control plane, like A=true,B=false")
	flags.Var(switches{&o.RuntimeConfig}, "runtime-config",
		"API versions to enable or disable, like coordination.k8s.io/v1beta1=true")
	flags.BoolVar(&o.DefaultLimits, "default-limits", false,
		"leave the client limits of the controller manager and the scheduler at the defaults of Kubernetes")
	flags.BoolVar(&o.Audit, "audit", false, "log every request to audit.log in --dir")
	return flags
}

// switches is a flag with a list of names and booleans, like A=true,B=false.
type switches struct {
	values *map[string]bool
}

func (s switches) Type() string { return "name=bool,..." }

func (s switches) String() string { return "" }

// Set parses one value of the flag, which may be repeated.
func (s switches) Set(list string) error {
	if *s.values == nil {
		*s.values = map[string]bool{}
	}
	for pair := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(pair, "=")
		value, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q isn't of the form <name>=true or <name>=false", pair)
		}
		(*s.values)[name] = value
	}
	return nil
}

// start starts a cluster that outlives this program. A shell can evaluate the output.
func start(ctx context.Context, root string, options cluster.Options) error {
	options.Detached = true
	c, err := buildAndStart(ctx, root, options)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG='%s'\n", c.Kubeconfig())
	fmt.Printf("# kubectl: %s\n", filepath.Join(cluster.Bin(root), "kubectl"))
	fmt.Printf("# To stop the cluster: go run ./test/cluster/cmd/cluster stop --dir '%s'\n", c.Dir())
	return nil
}

// foreground runs a cluster until the context is done or one of its components ends.
func foreground(ctx context.Context, root string, options cluster.Options) error {
	c, err := buildAndStart(ctx, root, options)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG='%s'\n# Ctrl-C stops the cluster.\n", c.Kubeconfig())
	err = c.Wait(ctx)
	return errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
}

// buildAndStart builds the programs, if they aren't up to date, and starts a cluster.
func buildAndStart(ctx context.Context, root string, options cluster.Options) (*cluster.Cluster, error) {
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return nil, err
	}
	options.Bin = bin
	return cluster.Start(ctx, options)
}

// stop stops the cluster in a directory.
func stop(ctx context.Context, dir string) error {
	c, err := cluster.Load(dir)
	if err != nil {
		return err
	}
	return c.Stop(ctx)
}
