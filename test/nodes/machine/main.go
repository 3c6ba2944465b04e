// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command machine is one node of a cluster whose nodes share this machine. The processes of a node have their own
// namespaces and a virtual cable to a bridge. Their root file system shares only /usr and the devices with the host.
//
//	machine on  [flags]   runs the node; killing this process cuts its power
//	machine off [flags]   waits for the end of the processes of a node without power, and removes everything else of it
//
// A node runs containerd, the kubelet and kube-proxy. Their configuration is in the directory <dir>/etc, which is the
// node's /etc. Their data is in <dir>/var, which survives a loss of power.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// machine is a node, as the flags describe it.
type machine struct {
	name string
	// dir has the node's files. programs has the executables of the node.
	dir, programs string
	// bridge is the host's end of the network. address is the address of the node in the network.
	bridge  string
	address netip.Prefix
	// pods is the network of the node's pods. routes are the arguments of `ip route add` on the node.
	pods   netip.Prefix
	routes []string
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		os.Exit(1)
	}
}

// run runs a command. Only this program itself uses initCommand, for the first process of a node.
func run(args []string) error {
	const usage = "want the command on or off"
	if len(args) < 2 {
		return errors.New(usage)
	}
	m, err := parse(args[2:])
	if err != nil {
		return err
	}
	switch args[1] {
	case "on":
		return m.on(args[2:])
	case "off":
		return m.off()
	case initCommand:
		return m.boot()
	default:
		return errors.New(usage)
	}
}

// parse returns the node that the flags describe.
func parse(args []string) (*machine, error) {
	m := &machine{}
	flags := flag.NewFlagSet("machine", flag.ContinueOnError)
	flags.StringVar(&m.name, "name", "",
		"name of the node, and of its end of the cable on the host: 15 characters at most")
	flags.StringVar(&m.dir, "dir", "", "directory of the node's files, with etc and var in it")
	flags.StringVar(&m.programs, "programs", "",
		"directory of containerd, runc, kubelet, kube-proxy, and CNI plugins in cni")
	flags.StringVar(&m.bridge, "bridge", "", "bridge that nodes are connected to")
	flags.TextVar(&m.address, "address", netip.Prefix{}, "address of the node and length of its network, like 10.0.0.2/24")
	flags.TextVar(&m.pods, "pods", netip.Prefix{}, "network of the node's pods, like 10.1.2.0/24")
	addRoute := func(route string) error {
		m.routes = append(m.routes, route)
		return nil
	}
	flags.Func("route", "arguments of `ip route add` on the node, like '10.1.3.0/24 via 10.0.0.3'; may be repeated",
		addRoute)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if m.name == "" || !filepath.IsAbs(m.dir) || !filepath.IsAbs(m.programs) ||
		m.bridge == "" || !m.address.IsValid() || !m.pods.IsValid() {
		return nil, errors.New("a node needs all flags, and absolute paths")
	}
	return m, nil
}
