// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	complete := []string{
		"--name=node-1", "--dir=/data", "--programs=/programs", "--bridge=nodes",
		"--address=10.0.0.2/24", "--pods=10.1.2.0/24",
		"--route=10.1.3.0/24 via 10.0.0.3", "--route=10.2.0.0/16 dev eth0",
	}
	got, err := parse(complete)
	if err != nil {
		t.Fatal(err)
	}
	want := &machine{
		name: "node-1", dir: "/data", programs: "/programs", bridge: "nodes",
		address: netip.MustParsePrefix("10.0.0.2/24"), pods: netip.MustParsePrefix("10.1.2.0/24"),
		routes: []string{"10.1.3.0/24 via 10.0.0.3", "10.2.0.0/16 dev eth0"},
	}
	comparePrefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(machine{}), comparePrefixes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, wrong := range [][]string{
		nil, complete[1:], append(complete, "--dir=relative"), append(complete, "--pods=10.1.2.0"),
	} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("no error for %v", wrong)
		}
	}
}

func TestParseHierarchies(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		want []hierarchy
	}{
		"only version 2": {data: "0::/user.slice\n"},
		"both versions": {
			data: "4:memory:/a/b\n2:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/\n",
			want: []hierarchy{{"memory", "/a/b"}, {"cpu,cpuacct", "/"}, {"name=systemd", "/init.scope"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseHierarchies(test.data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(hierarchy{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := parseHierarchies("memory\n"); err == nil {
		t.Error("no error for a line without colons")
	}
}

func TestHierarchy(t *testing.T) {
	for controllers, want := range map[string][2]string{
		"cpu,cpuacct":  {"/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"},
		"name=systemd": {"/sys/fs/cgroup/systemd", "none,name=systemd"},
	} {
		h := hierarchy{controllers: controllers}
		if got := [2]string{h.mountPoint(), h.mountOptions()}; got != want {
			t.Errorf("%s: got %q, want %q", controllers, got, want)
		}
	}
}

func TestLastLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for content, want := range map[string]string{"": "", "one\n": "one", "one\ntwo\n\n": "two"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := string(lastLine(file)); got != want {
			t.Errorf("of %q: got %q, want %q", content, got, want)
		}
	}
}
