// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// addTPUVariables tells the containers that ask for TPUs of each other, through the whole group or, with subgroups, the pod's own
// subgroup. A pod that has any of the variables already is left alone: someone set them up by hand.
//
// Containers that run at the same time, the main ones and sidecars, form one slice; an ordinary init container runs alone in its pod
// and forms one with its counterparts in the other pods.
//
// Worked example: leader a-0 and workers a-0-1, a-0-2, two TPU containers each, leader without TPUs. The hosts are
// a-0-1,a-0-1,a-0-2,a-0-2; the second container of a-0-2 has id 1 × 2 + 1 = 3 and port 8477.
func (m *member) addTPUVariables(pod *corev1.Pod) {
	if hasTPUVariables(&pod.Spec) {
		return
	}
	var together []*corev1.Container
	for container := range containers(&pod.Spec) {
		if containerRequestsTPUs(container) && !runsAlone(&pod.Spec, container) {
			together = append(together, container)
		}
	}
	hosts, position := m.tpuHosts(pod)
	for container := range containers(&pod.Spec) {
		if containerRequestsTPUs(container) && runsAlone(&pod.Spec, container) {
			m.addTPUSlice([]*corev1.Container{container}, hosts, position)
		}
	}
	m.addTPUSlice(together, hosts, position)
}

// tpuHosts lists the hosts of the pod's slice in the order of their worker index, and the pod's own position among them.
func (m *member) tpuHosts(pod *corev1.Pod) (hosts []string, position int) {
	leaderTakesPart := m.worker == 0 || pod.Annotations[leaderworkersetv1.LeaderRequestsTPUsAnnotationKey] == "true"
	for worker := range m.size {
		if (worker == 0 && !leaderTakesPart) || !m.sharesSubGroup(worker) {
			continue
		}
		name := m.leader
		if worker > 0 {
			name = identity.Worker(m.leader, worker)
		}
		if worker == m.worker {
			position = len(hosts)
		}
		hosts = append(hosts, name+"."+pod.Spec.Subdomain)
	}
	return hosts, position
}

// sharesSubGroup says whether another pod of the group is in this one's subgroup; without subgroups all are. A leader that is in
// no subgroup is on its own.
func (m *member) sharesSubGroup(worker int32) bool {
	if m.subGroupSize == 0 || worker == m.worker {
		return true
	}
	index, ok := identity.SubGroupIndex(m.size, m.subGroupSize, worker, m.subGroupPolicy)
	return ok && m.inSubGroup && index == m.subGroup
}

// addTPUSlice gives the containers of one pod their part in a slice of len(together) processes on each host.
func (m *member) addTPUSlice(together []*corev1.Container, hosts []string, position int) {
	ports := make([]string, len(together))
	for i, container := range together {
		ports[i] = tpuPort(container, i)
	}
	var hostnames, addresses []string
	for _, host := range hosts {
		for i := range together {
			hostnames = append(hostnames, host)
			addresses = append(addresses, host+":"+ports[i])
		}
	}
	for i, container := range together {
		prependVariables(container, []corev1.EnvVar{
			{Name: leaderworkersetv1.TPUWorkerHostnamesEnvVar, Value: strings.Join(hostnames, ",")},
			{Name: leaderworkersetv1.TPUWorkerIDEnvVar, Value: strconv.Itoa(position*len(together) + i)},
			{Name: leaderworkersetv1.TPUNameEnvVar, Value: m.leader},
			{Name: leaderworkersetv1.TPUProcessAddressesEnvVar, Value: strings.Join(addresses, ",")},
			{Name: leaderworkersetv1.TPUProcessPortEnvVar, Value: ports[i]},
		})
	}
}

// tpuPort is the user's value of TPU_PROCESS_PORT or, if there is none, the i-th port from the default on.
func tpuPort(container *corev1.Container, i int) string {
	for _, variable := range container.Env {
		if variable.Name == leaderworkersetv1.TPUProcessPortEnvVar && variable.Value != "" {
			return variable.Value
		}
	}
	return strconv.Itoa(leaderworkersetv1.TPUProcessPortDefault + i)
}

// runsAlone says whether it is an init container that ends before the next one starts, unlike a sidecar.
func runsAlone(spec *corev1.PodSpec, container *corev1.Container) bool {
	return ptr.Deref(container.RestartPolicy, "") != corev1.ContainerRestartPolicyAlways &&
		slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == container.Name })
}

func requestsTPUs(spec *corev1.PodSpec) bool {
	for container := range containers(spec) {
		if containerRequestsTPUs(container) {
			return true
		}
	}
	return false
}

func containerRequestsTPUs(container *corev1.Container) bool {
	_, limited := container.Resources.Limits[leaderworkersetv1.TPUResourceName]
	_, requested := container.Resources.Requests[leaderworkersetv1.TPUResourceName]
	return limited || requested
}

// hasTPUVariables looks for those that only injection, or someone who does its work, sets. A port alone is a user's wish.
func hasTPUVariables(spec *corev1.PodSpec) bool {
	for container := range containers(spec) {
		for _, variable := range container.Env {
			switch variable.Name {
			case leaderworkersetv1.TPUWorkerHostnamesEnvVar, leaderworkersetv1.TPUWorkerIDEnvVar,
				leaderworkersetv1.TPUNameEnvVar, leaderworkersetv1.TPUProcessAddressesEnvVar:
				return true
			}
		}
	}
	return false
}
