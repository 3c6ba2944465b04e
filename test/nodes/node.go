// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// Registry is the address of the registry. This machine pushes to it, and the nodes pull from it. The nodes also use it
// instead of any other registry: docker.io/library/server:v1 is the image that was pushed as
// 10.200.0.1:5000/library/server:v1.
const Registry = "10.200.0.1:5000"

const (
	bridge = "lws-nodes"
	// allPods is the network of all pods. dnsAddress is the address of the name server, in cluster.ServiceNetwork.
	allPods    = "10.244.0.0/16"
	dnsAddress = "10.96.0.10"
)

// hostAddress is the address of this machine in the network of the nodes.
var hostAddress = netip.MustParseAddr("10.200.0.1")

// node is the number of a node, from 1 on.
type node int

func (n node) name() string { return fmt.Sprintf("node-%d", n) }

// address returns the address of the node, with the length of its network.
func (n node) address() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, 0, byte(10 + n)}), 24) //nolint:gosec // A few nodes.
}

// pods returns the network of the node's pods.
func (n node) pods() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(n), 0}), 24) //nolint:gosec // A few nodes.
}

// routes returns the node's routes to the pods of other nodes, and to Services. There is no default route, so that
// connections to addresses outside of the cluster fail at once and not after a timeout.
func (n node) routes(nodes int) []string {
	routes := []string{cluster.ServiceNetwork + " dev eth0"} // kube-proxy replaces the destination.
	for i := range nodes {
		if other := node(i + 1); other != n {
			routes = append(routes, other.pods().String()+" via "+other.address().Addr().String())
		}
	}
	return routes
}

// etc has templates of files in the /etc of a node.
//
//go:embed all:etc
var etc embed.FS

// addNode writes the files of a node, and turns it on.
func (c *Cluster) addNode(n node, nodes int) error {
	dir, err := c.control.ProgramDir(n.name())
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "var"), 0o755); err != nil {
		return err
	}
	if err := c.writeEtc(n, filepath.Join(dir, "etc")); err != nil {
		return err
	}
	return c.machineOn(n, nodes)
}

// writeEtc writes the files of a node's /etc to a directory.
func (c *Cluster) writeEtc(n node, dir string) error {
	values := map[string]any{
		"Name": n.name(), "Address": n.address().Addr(), "Pods": n.pods(), "AllPods": allPods, "DNS": dnsAddress,
		"Registry": Registry, "Pause": upstream + pauseImage,
	}
	err := fs.WalkDir(etc, "etc", func(path string, entry fs.DirEntry, err error) error {
		target := filepath.Join(dir, strings.TrimPrefix(path, "etc"))
		if err != nil || entry.IsDir() {
			return err
		}
		return writeTemplate(path, target, values)
	})
	if err != nil {
		return err
	}
	kubernetes := filepath.Join(dir, "kubernetes")
	kubelet, err := c.control.UserKubeconfig("system:node:"+n.name(), "system:nodes")
	if err != nil {
		return err
	}
	proxy, err := c.control.UserKubeconfig("system:kube-proxy")
	if err != nil {
		return err
	}
	for source, target := range map[string]string{
		kubelet:            filepath.Join(kubernetes, "kubelet.kubeconfig"),
		proxy:              filepath.Join(kubernetes, "kube-proxy.kubeconfig"),
		c.control.CAFile(): filepath.Join(kubernetes, "ca.crt"),
		"/etc/os-release":  filepath.Join(dir, "os-release"),
		os.DevNull:         filepath.Join(dir, "resolv.conf"), // Names outside of the cluster don't resolve.
	} {
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(target, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeTemplate writes a template of etc, with its values, to a file.
func writeTemplate(path, target string, values any) error {
	parsed, err := template.ParseFS(etc, path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.Create(target)
	if err != nil {
		return err
	}
	if err := parsed.Option("missingkey=error").Execute(file, values); err != nil {
		_ = file.Close() // The file is incomplete anyway.
		return err
	}
	return file.Close()
}

// machineOn turns a node on.
func (c *Cluster) machineOn(n node, nodes int) error {
	args, err := c.machineArgs(n, nodes)
	if err != nil {
		return err
	}
	_, err = c.control.RunProgram(n.name(), c.machine(), append([]string{"on"}, args...)...)
	return err
}

// machineOff removes everything that a killed node leaves on this machine.
func (c *Cluster) machineOff(ctx context.Context, n node) error {
	args, err := c.machineArgs(n, len(c.Nodes()))
	if err != nil {
		return err
	}
	return command(ctx, c.machine(), append([]string{"off"}, args...)...)
}

// machine returns the path of the program that runs a node.
func (c *Cluster) machine() string { return filepath.Join(c.programs.Nodes, "machine") }

// machineArgs returns the arguments of that program for a node.
func (c *Cluster) machineArgs(n node, nodes int) ([]string, error) {
	dir, err := c.control.ProgramDir(n.name())
	if err != nil {
		return nil, err
	}
	args := []string{
		"--name=" + n.name(),
		"--dir=" + dir,
		"--programs=" + c.programs.Nodes,
		"--bridge=" + bridge,
		"--address=" + n.address().String(),
		"--pods=" + n.pods().String(),
	}
	for _, route := range n.routes(nodes) {
		args = append(args, "--route="+route)
	}
	return args, nil
}

// addBridge makes the network of the nodes.
func addBridge(ctx context.Context) error {
	nodes, err := os.ReadDir("/sys/class/net/" + bridge + "/brif")
	if len(nodes) > 0 {
		return fmt.Errorf("nodes are connected to the bridge %s: a cluster already runs, or wasn't stopped", bridge)
	}
	if err == nil { // A killed start has left the bridge.
		if err := removeBridge(ctx); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge"},
		{"address", "add", netip.PrefixFrom(hostAddress, 24).String(), "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if err := command(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// removeBridge removes the network of the nodes, and the routes through it.
func removeBridge(ctx context.Context) error {
	if _, err := net.InterfaceByName(bridge); err != nil {
		return nil //nolint:nilerr // The bridge doesn't exist.
	}
	return command(ctx, "ip", "link", "delete", bridge)
}
