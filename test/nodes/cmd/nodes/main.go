// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command nodes starts and stops a Kubernetes cluster with real nodes on this machine. The README of the nodes package
// describes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/nodes"
	"github.com/leaderworkerset/lws-operator/test/nodes/image"
	"github.com/leaderworkerset/lws-operator/test/nodes/olm"
)

const usage = `Runs a Kubernetes cluster with real nodes on this machine: kubelets, containerd, an image registry, DNS.
It needs Linux. All commands but build, packages and push need root.

Usage:
  nodes <command> [flags]

Commands:
  build                       build the programs into bin/nodes
  packages                    print the Debian packages that the build and the cluster need
  up                          start a cluster and print how to reach it
  down                        stop the cluster and remove everything that it had on this machine
  node stop <node>            cut the power of a node: node-2, or just 2
  node start <node>           turn a node on again
  olm                         build the Operator Lifecycle Manager, and install it in the cluster
  push <program> <reference>  make an image of a static executable, like 10.200.0.1:5000/server:v1, and push it

Flags:
`

// settings has the values of the flags.
type settings struct {
	root, dir string
	nodes     int
	crds      []string
	user      int
}

func main() {
	log.SetLogger(klog.Background())
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "nodes:", err)
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
	s := settings{root: root}
	flags := pflag.NewFlagSet("nodes", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage, flags.FlagUsages()) }
	flags.StringVar(&s.dir, "dir", filepath.Join(root, "bin", "run", "nodes"),
		"directory of the cluster's data and kubeconfig")
	flags.IntVar(&s.nodes, "nodes", 3, "number of nodes")
	flags.StringSliceVar(&s.crds, "crds", nil, "files and directories of CustomResourceDefinitions to install")
	flags.IntVar(&s.user, "user", 65532, "number of the user that a pushed image runs as")
	if err := flags.Parse(args); err != nil {
		return err
	}
	command := strings.Join(flags.Args(), " ")
	switch name, rest, _ := strings.Cut(command, " "); {
	case command == "build":
		_, err := nodes.Build(ctx, root, os.Stderr)
		return err
	case command == "packages":
		fmt.Println(strings.Join(nodes.DebianPackages, " "))
		return nil
	case command == "up":
		return s.up(ctx)
	case command == "down":
		return s.down(ctx)
	case command == "olm":
		return s.installOLM(ctx)
	case name == "node" && flags.NArg() == 3:
		return s.power(ctx, flags.Arg(1), flags.Arg(2))
	case name == "push" && flags.NArg() == 3:
		return s.push(ctx, flags.Arg(1), flags.Arg(2))
	default:
		flags.Usage()
		return fmt.Errorf("unknown command %q with arguments %q", name, rest)
	}
}

// up starts a cluster that outlives this program. A shell can evaluate the output.
func (s settings) up(ctx context.Context) error {
	c, err := nodes.Start(ctx, nodes.Options{
		Dir:      s.dir,
		Programs: nodes.ProgramsIn(s.root),
		Nodes:    s.nodes,
		CRDs:     s.crds,
		Log:      os.Stderr,
	})
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG='%s' REGISTRY='%s'\n", c.Kubeconfig(), nodes.Registry)
	return nil
}

// down stops the cluster.
func (s settings) down(ctx context.Context) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	return c.Stop(ctx)
}

// power turns a node off or on.
func (s settings) power(ctx context.Context, action, name string) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	name = "node-" + strings.TrimPrefix(name, "node-")
	switch action {
	case "stop":
		return c.PowerOff(ctx, name)
	case "start":
		return c.PowerOn(name)
	default:
		return fmt.Errorf("unknown command node %s; want stop or start", action)
	}
}

// installOLM installs the Operator Lifecycle Manager in the cluster.
func (s settings) installOLM(ctx context.Context) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	programs, err := nodes.BuildOLM(ctx, s.root, os.Stderr)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return err
	}
	admin, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	return olm.Install(ctx, admin, nodes.Registry, olm.Programs{OLM: programs, OPM: filepath.Join(s.root, "bin", "opm")})
}

// push makes and pushes an image, and prints its name with the digest.
func (s settings) push(ctx context.Context, program, reference string) error {
	pushed, err := image.Push(ctx, reference, image.Of(program, s.user))
	if err == nil {
		fmt.Println(pushed)
	}
	return err
}

func (s settings) load() (*nodes.Cluster, error) { return nodes.Load(s.dir, nodes.ProgramsIn(s.root)) }
