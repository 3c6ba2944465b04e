// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// addTPUVariables adds the variables by which containers that request TPUs find each other. They form slices across the
// pods of the group or, with subgroups, of the pod's own subgroup. A pod that has any of the variables already stays as
// it is: its user set them.
//
// Containers that run at the same time, the main ones and sidecars, form one slice. An ordinary init container has
// no other container beside it, and forms a slice with its counterparts in the other pods.
//
// Example: leader a-0 and workers a-0-1 and a-0-2 have two TPU containers each, and the leader requests no TPUs. The
// hosts are a-0-1,a-0-1,a-0-2,a-0-2. The second container of a-0-2 has ID 1 × 2 + 1 = 3 and port 8477.
func (m *member) addTPUVariables(e *editor) {
	spec := &e.pod.Spec
	if !requestsTPUs(spec) || hasTPUVariables(spec) {
		return
	}
	hosts, position := m.tpuHosts(e.pod)
	for _, slice := range tpuSlices(spec) {
		m.addTPUSlice(e, slice, hosts, position)
	}
}

// tpuSlice has the containers of one pod that are in the same slice, with the port of each.
type tpuSlice struct {
	members []*corev1.Container
	ports   []string
}

func (s *tpuSlice) add(container *corev1.Container) {
	s.ports = append(s.ports, tpuPort(container, len(s.members)))
	s.members = append(s.members, container)
}

// tpuSlices returns the slices that the containers of a pod are in.
func tpuSlices(spec *corev1.PodSpec) []tpuSlice {
	var slices []tpuSlice
	var concurrent tpuSlice
	for i := range spec.InitContainers {
		container := &spec.InitContainers[i]
		isSidecar := ptr.Deref(container.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
		switch {
		case !containerRequestsTPUs(container):
		case isSidecar:
			concurrent.add(container)
		default:
			var alone tpuSlice
			alone.add(container)
			slices = append(slices, alone)
		}
	}
	for i := range spec.Containers {
		if container := &spec.Containers[i]; containerRequestsTPUs(container) {
			concurrent.add(container)
		}
	}
	return append(slices, concurrent)
}

// tpuHosts returns the hosts of the pod's slice, ordered by worker index, and the pod's own position among them.
func (m *member) tpuHosts(pod *corev1.Pod) (hosts []string, position int) {
	leaderIncluded := m.worker == 0 || pod.Annotations[leaderworkersetv1.LeaderRequestsTPUsAnnotationKey] == "true"
	for worker := m.firstTPUHost(); worker < m.endOfTPUHosts(); worker++ {
		if (worker == 0 && !leaderIncluded) || !m.sharesSubGroup(worker) {
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

// firstTPUHost returns the lowest worker index that a pod of this slice may have.
func (m *member) firstTPUHost() int32 {
	if m.subGroupSize == 0 || !m.inSubGroup {
		return 0
	}
	return m.subGroup * m.subGroupSize
}

// endOfTPUHosts returns an index above those that the pods of this slice may have. A subgroup has one pod more than its
// size if the leader is extra, and the indices of the others are one higher then.
func (m *member) endOfTPUHosts() int32 {
	switch {
	case m.subGroupSize == 0:
		return m.size
	case !m.inSubGroup:
		return 1
	default:
		return int32(min(int64(m.size), int64(m.firstTPUHost())+int64(m.subGroupSize)+1)) //nolint:gosec // At most size.
	}
}

const (
	// maxVariable bounds the variables that a container may have, in bytes: Linux starts no program with a longer one.
	// From execve(2), MAX_ARG_STRLEN.
	maxVariable = 128 << 10

	// maxVariables bounds the variables of TPUs of a whole pod, in bytes. With a default configuration, etcd stores no
	// larger request.
	maxVariables = 3 << 19
)

// CheckTPUs returns the error with which Inject would reject the pod because its group, or its number of containers, is
// too large for the variables of TPUs. A pod that doesn't say where it belongs gives none.
func CheckTPUs(pod *corev1.Pod) error {
	m, err := memberOf(pod)
	if err != nil {
		return nil //nolint:nilerr // Inject reports it.
	}
	return m.checkTPUs(pod)
}

// checkTPUs returns an error if one of the pod's lists of hosts is longer than a variable can be, or if all lists are
// too long for an object. It doesn't list the hosts: a group may have 2147483647 pods.
func (m *member) checkTPUs(pod *corev1.Pod) error {
	if !requestsTPUs(&pod.Spec) || hasTPUVariables(&pod.Spec) {
		return nil
	}
	hosts := int64(m.endOfTPUHosts()) - int64(m.firstTPUHost()) - 1 // Without a leader that requests none.
	host := int64(len(m.leader) + len("-1.") + len(pod.Spec.Subdomain))
	var total int64
	for _, slice := range tpuSlices(&pod.Spec) {
		count := int64(len(slice.members))
		names, addresses := hosts*host*count, hosts*host*count
		for _, port := range slice.ports {
			addresses += hosts * int64(len(port))
		}
		total += count * (names + addresses)
		switch {
		case names > maxVariable:
			return tooLong(leaderworkersetv1.TPUWorkerHostnamesEnvVar, maxVariable, hosts, count)
		case addresses > maxVariable:
			return tooLong(leaderworkersetv1.TPUProcessAddressesEnvVar, maxVariable, hosts, count)
		case total > maxVariables:
			return tooLong("the variables of TPUs", maxVariables, hosts, count)
		}
	}
	return nil
}

func tooLong(what string, limit int, hosts, containers int64) error {
	return fmt.Errorf("%s would have more than %d bytes with %d hosts and %d containers", what, limit, hosts, containers)
}

// sharesSubGroup reports whether another pod of the group is in the subgroup of this one. Without subgroups, all pods
// share one. A leader that is in no subgroup shares it with no other pod.
func (m *member) sharesSubGroup(worker int32) bool {
	if m.subGroupSize == 0 || worker == m.worker {
		return true
	}
	index, ok := identity.SubGroupIndex(m.size, m.subGroupSize, worker, m.subGroupPolicy)
	return ok && m.inSubGroup && index == m.subGroup
}

// addTPUSlice adds the variables of a slice to one pod's containers in it. The slice has as many processes on every
// other host.
func (m *member) addTPUSlice(e *editor, slice tpuSlice, hosts []string, position int) {
	var hostnames, addresses []string
	for _, host := range hosts {
		for _, port := range slice.ports {
			hostnames = append(hostnames, host)
			addresses = append(addresses, host+":"+port)
		}
	}
	allHostnames, allAddresses := strings.Join(hostnames, ","), strings.Join(addresses, ",")
	for i, container := range slice.members {
		e.prependVariables(container, []corev1.EnvVar{
			{Name: leaderworkersetv1.TPUWorkerHostnamesEnvVar, Value: allHostnames},
			{Name: leaderworkersetv1.TPUWorkerIDEnvVar, Value: strconv.Itoa(position*len(slice.members) + i)},
			{Name: leaderworkersetv1.TPUNameEnvVar, Value: m.leader},
			{Name: leaderworkersetv1.TPUProcessAddressesEnvVar, Value: allAddresses},
			{Name: leaderworkersetv1.TPUProcessPortEnvVar, Value: slice.ports[i]},
		})
	}
}

// tpuPort returns the user's value of TPU_PROCESS_PORT or, without one, the default port plus i.
func tpuPort(container *corev1.Container, i int) string {
	for _, variable := range container.Env {
		if variable.Name == leaderworkersetv1.TPUProcessPortEnvVar && variable.Value != "" {
			return variable.Value
		}
	}
	return strconv.Itoa(leaderworkersetv1.TPUProcessPortDefault + i)
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

// hasTPUVariables reports whether a container has a variable that injection sets. The port doesn't count: users set it
// to choose a port.
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
