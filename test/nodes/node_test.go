// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

func TestNode(t *testing.T) {
	n := node(2)
	got := map[string]any{
		"name": n.name(), "address": n.address().String(), "pods": n.pods().String(), "routes": n.routes(3),
	}
	want := map[string]any{
		"name": "node-2", "address": "10.200.0.12/24", "pods": "10.244.2.0/24",
		"routes": []string{"10.96.0.0/16 dev eth0", "10.244.1.0/24 via 10.200.0.11", "10.244.3.0/24 via 10.200.0.13"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNamesOfLinks checks that names of network links have at most 15 characters, which is the limit of the kernel.
func TestNamesOfLinks(t *testing.T) {
	for _, name := range []string{bridge, node(MaxNodes).name()} {
		if len(name) > 15 {
			t.Errorf("%s is too long", name)
		}
	}
}

// TestOneVersionOfKubernetes checks that the kubelets have the version of the control plane. Their modules differ.
func TestOneVersionOfKubernetes(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	version := func(elements ...string) string {
		t.Helper()
		module := filepath.Join(append([]string{root, "test"}, elements...)...)
		version, err := moduleInfo(t.Context(), module, kubernetes, "{{.Version}}")
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	if control, nodes := version("cluster", "components"), version("nodes", "programs", "kubernetes"); control != nodes {
		t.Errorf("the control plane is %s, nodes are %s", control, nodes)
	}
}
