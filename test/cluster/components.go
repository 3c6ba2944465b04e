// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The components of a cluster, by the names of their programs.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kwok              = "kwok"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "lws"
	// ServiceNetwork is the address range of Services. serviceAddress is the address of the API server's own Service.
	// Simulated pods have addresses of the cidr in simulation.yaml.
	ServiceNetwork = "10.96.0.0/16"
	serviceAddress = "10.96.0.1"
	// nodeMonitorGrace is how long a real node may be silent before it counts as lost. The default of Kubernetes is too
	// long for tests.
	nodeMonitorGrace = "20s"
	// clientQPS and clientBurst raise the client-side limits of the components. The API server's own fairness is enough.
	clientQPS   = "1000"
	clientBurst = "2000"
	// quotaResync is how often the controller manager counts what quotas limit. The default of Kubernetes is 5 minutes.
	// Until then, quotas count too much if a creation was admitted that failed, as of a pod that exists. StatefulSet
	// controllers before Kubernetes 1.36 try such creations: their cache may not show a pod that they have just created.
	quotaResync = "10s"
	// autoscalerSync is how often the controller manager looks at HorizontalPodAutoscalers. The default of Kubernetes is
	// 15 seconds.
	autoscalerSync = "2s"
	// statefulSetWorkers is how many StatefulSets the controller manager works on at a time.
	statefulSetWorkers = "10"
)

// setup has everything that determines the arguments of the components.
type setup struct {
	Options
	ports map[string]string
}

// url returns the URL of a component's server.
func (s setup) url(component string) string {
	return "https://" + net.JoinHostPort(s.host(component), s.ports[component])
}

// host returns the address that a component serves at. Other machines reach only the API server.
func (s setup) host(component string) string {
	if component == apiServer && s.Address != "" {
		return s.Address
	}
	return loopback
}

// controlLoops returns the components that are clients of the API server.
func (s setup) controlLoops() []string {
	if s.Address != "" {
		return []string{controllerManager, scheduler}
	}
	return []string{controllerManager, scheduler, kwok}
}

// path returns the path of a file in the cluster's directory.
func (s setup) path(elements ...string) string {
	return filepath.Join(append([]string{s.Dir}, elements...)...)
}

// args returns the arguments of a component.
func (s setup) args(component string) []string {
	switch component {
	case etcd:
		return s.etcdArgs()
	case apiServer:
		return s.apiServerArgs()
	case controllerManager:
		return s.controllerManagerArgs()
	case scheduler:
		return s.controlLoopArgs(component)
	case kwok:
		return []string{"--config=" + s.path("simulation.yaml"), "--kubeconfig=" + s.kubeconfig(kwok)}
	}
	panic(fmt.Sprintf("unknown component %q", component))
}

// etcdArgs returns the arguments of etcd. It is the only member of its cluster, so any port will do for peers.
func (s setup) etcdArgs() []string {
	return []string{
		"--data-dir=" + s.path("etcd"),
		"--unsafe-no-fsync",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
		"--listen-client-urls=" + s.url(etcd),
		"--advertise-client-urls=" + s.url(etcd),
		"--listen-peer-urls=http://" + net.JoinHostPort(loopback, "0"),
		"--client-cert-auth",
		"--trusted-ca-file=" + s.path("pki", "ca.crt"),
		"--cert-file=" + s.path("pki", "serving.crt"),
		"--key-file=" + s.path("pki", "serving.key"),
	}
}

// apiServerArgs returns the arguments of the API server.
func (s setup) apiServerArgs() []string {
	args := slices.Concat(s.servingArgs(apiServer), s.apiServerNodeArgs(), []string{
		"--advertise-address=" + s.host(apiServer),
		"--etcd-servers=" + s.url(etcd),
		"--etcd-cafile=" + s.path("pki", "ca.crt"),
		"--etcd-certfile=" + s.path("pki", "etcd-client.crt"),
		"--etcd-keyfile=" + s.path("pki", "etcd-client.key"),
		"--client-ca-file=" + s.path("pki", "ca.crt"),
		"--requestheader-client-ca-file=" + s.path("pki", "ca.crt"), // The other components log errors without it.
		"--requestheader-allowed-names=front-proxy",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=OwnerReferencesPermissionEnforcement", // OpenShift enables it.
		"--allow-privileged",
		"--service-cluster-ip-range=" + ServiceNetwork,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + s.path("pki", "service-accounts.key"),
		"--service-account-signing-key-file=" + s.path("pki", "service-accounts.key"),
	}, switches("--feature-gates", s.FeatureGates), switches("--runtime-config", s.RuntimeConfig))
	if s.Audit {
		args = append(args,
			"--audit-policy-file="+s.path("audit-policy.yaml"),
			"--audit-log-path="+s.path("audit.log"),
			"--audit-log-maxsize=1000000", // In megabytes. One file is enough for any test.
		)
	}
	return args
}

// apiServerNodeArgs returns the arguments of the API server that depend on whether the nodes are real.
func (s setup) apiServerNodeArgs() []string {
	if s.Address == "" {
		// The API server doesn't publish itself as an endpoint of the kubernetes Service. Endpoints can't be loopback
		// addresses, and simulated pods make no calls.
		return []string{"--endpoint-reconciler-type=none"}
	}
	return []string{
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate=" + s.path("pki", "kubelet-client.crt"),
		"--kubelet-client-key=" + s.path("pki", "kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--proxy-client-cert-file=" + s.path("pki", "front-proxy.crt"),
		"--proxy-client-key-file=" + s.path("pki", "front-proxy.key"),
		// No kube-proxy runs beside the API server, so the API server calls webhooks at the addresses of their pods.
		"--enable-aggregator-routing",
	}
}

// controllerManagerArgs returns the arguments of the controller manager.
func (s setup) controllerManagerArgs() []string {
	args := append(s.controlLoopArgs(controllerManager),
		"--use-service-account-credentials",
		"--service-account-private-key-file="+s.path("pki", "service-accounts.key"),
		"--root-ca-file="+s.path("pki", "ca.crt"),
		"--resource-quota-sync-period="+quotaResync,
		"--horizontal-pod-autoscaler-sync-period="+autoscalerSync,
	)
	if !s.DefaultLimits {
		args = append(args, "--concurrent-statefulset-syncs="+statefulSetWorkers)
	}
	if s.Address != "" {
		args = append(args, "--node-monitor-grace-period="+nodeMonitorGrace)
	}
	return args
}

// controlLoopArgs returns the common arguments of the controller manager and the scheduler. Each runs once, so neither
// needs leader election.
func (s setup) controlLoopArgs(component string) []string {
	kubeconfig := s.kubeconfig(component)
	return slices.Concat(s.servingArgs(component), []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--leader-elect=false",
	}, s.limitArgs(), switches("--feature-gates", s.FeatureGates))
}

// limitArgs returns the arguments that raise the client-side limits of a component.
func (s setup) limitArgs() []string {
	if s.DefaultLimits {
		return nil
	}
	return []string{"--kube-api-qps=" + clientQPS, "--kube-api-burst=" + clientBurst}
}

// servingArgs returns the arguments for the address and the certificate of a Kubernetes component's server.
func (s setup) servingArgs(component string) []string {
	return []string{
		"--bind-address=" + s.host(component),
		"--secure-port=" + s.ports[component],
		"--tls-cert-file=" + s.path("pki", "serving.crt"),
		"--tls-private-key-file=" + s.path("pki", "serving.key"),
	}
}

// kubeconfig returns the path of the kubeconfig of a component.
func (s setup) kubeconfig(component string) string {
	return s.path("pki", component+".kubeconfig")
}

// switches returns a flag whose value is a sorted list like A=true,B=false, or nothing for an empty map.
func switches(flag string, values map[string]bool) []string {
	if len(values) == 0 {
		return nil
	}
	pairs := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, name+"="+strconv.FormatBool(values[name]))
	}
	return []string{flag + "=" + strings.Join(pairs, ",")}
}
