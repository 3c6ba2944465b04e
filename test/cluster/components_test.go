// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	const gates = "--feature-gates=Alpha=true,Beta=false"
	plain := setup{
		Options: Options{Dir: "/data"},
		ports:   map[string]string{etcd: "1", apiServer: "2", controllerManager: "3", scheduler: "4"},
	}
	full := plain
	full.FeatureGates = map[string]bool{"Beta": false, "Alpha": true}
	full.RuntimeConfig = map[string]bool{"api/all": true}
	full.Audit = true

	for component, want := range map[string][]string{
		apiServer: {gates, "--runtime-config=api/all=true", "--audit-log-path=/data/audit.log", "--secure-port=2",
			"--etcd-servers=https://127.0.0.1:1"},
		controllerManager: {gates, "--secure-port=3", "--kubeconfig=/data/pki/kube-controller-manager.kubeconfig"},
		scheduler:         {gates, "--secure-port=4", "--kubeconfig=/data/pki/kube-scheduler.kubeconfig"},
		etcd:              {"--data-dir=/data/etcd", "--listen-client-urls=https://127.0.0.1:1", "--client-cert-auth"},
		kwok:              {"--config=/data/simulation.yaml"},
	} {
		args := full.args(component)
		for _, arg := range want {
			if !slices.Contains(args, arg) {
				t.Errorf("%s lacks %s: %v", component, arg, args)
			}
		}
		for _, arg := range plain.args(component) {
			if strings.HasPrefix(arg, "--feature-gates") || strings.HasPrefix(arg, "--runtime-config") ||
				strings.HasPrefix(arg, "--audit") {
				t.Errorf("%s has %s without being asked", component, arg)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	s := setup{ports: map[string]string{}}
	for component, raised := range map[string][]string{
		controllerManager: {"--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-statefulset-syncs=10"},
		scheduler:         {"--kube-api-qps=1000", "--kube-api-burst=2000"},
	} {
		for _, defaults := range []bool{false, true} {
			s.DefaultLimits = defaults
			for _, arg := range raised {
				if has := slices.Contains(s.args(component), arg); has == defaults {
					t.Errorf("%s has %s: %t, with default limits: %t", component, arg, has, defaults)
				}
			}
		}
	}
}

func TestArgsForRealNodes(t *testing.T) {
	s := setup{Options: Options{Dir: "/data", Address: "10.0.0.1"}, ports: map[string]string{etcd: "1", apiServer: "2"}}
	if slices.Contains(s.controlLoops(), kwok) {
		t.Error("nodes are simulated")
	}
	for component, want := range map[string][]string{
		apiServer: {"--bind-address=10.0.0.1", "--advertise-address=10.0.0.1", "--enable-aggregator-routing",
			"--etcd-servers=https://127.0.0.1:1"},
		controllerManager: {"--bind-address=127.0.0.1", "--node-monitor-grace-period=20s"},
	} {
		args := s.args(component)
		for _, arg := range want {
			if !slices.Contains(args, arg) {
				t.Errorf("%s lacks %s: %v", component, arg, args)
			}
		}
	}
	if args := s.args(apiServer); slices.Contains(args, "--endpoint-reconciler-type=none") {
		t.Errorf("the kubernetes Service gets no endpoint: %v", args)
	}
}
