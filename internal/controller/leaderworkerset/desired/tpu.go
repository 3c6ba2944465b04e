// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"slices"
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
	var concurrent []*corev1.Container
	for container := range containers(spec) {
		switch {
		case !containerRequestsTPUs(container):
		case runsAlone(spec, container):
			m.addTPUSlice(e, []*corev1.Container{container}, hosts, position)
		default:
			concurrent = append(concurrent, container)
		}
	}
	m.addTPUSlice(e, concurrent, hosts, position)
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

// maxVariable bounds the variables that a container may have, in bytes: Linux starts no program with a longer one. From
// execve(2), MAX_ARG_STRLEN.
const maxVariable = 128 << 10

// CheckTPUs returns the error with which Inject would reject the pod because its group is too large for the variables
// of TPUs. A pod that doesn't say where it belongs gives none.
func CheckTPUs(pod *corev1.Pod) error {
	m, err := memberOf(pod)
	if err != nil {
		return nil //nolint:nilerr // Inject reports it.
	}
	return m.checkTPUs(pod)
}

// checkTPUs returns an error if the pod's list of hosts is longer than a variable can be. It doesn't list the hosts: a
// group may have 2147483647 pods.
func (m *member) checkTPUs(pod *corev1.Pod) error {
	if !requestsTPUs(&pod.Spec) || hasTPUVariables(&pod.Spec) {
		return nil
	}
	hosts := int64(m.endOfTPUHosts()) - int64(m.firstTPUHost()) - 1 // Without a leader that requests none.
	if bytes := hosts * int64(len(m.leader)+len("-1.")+len(pod.Spec.Subdomain)); bytes > maxVariable {
		return fmt.Errorf("%s would have more than %d bytes with %d hosts", leaderworkersetv1.TPUWorkerHostnamesEnvVar,
			maxVariable, hosts)
	}
	return nil
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
func (m *member) addTPUSlice(e *editor, members []*corev1.Container, hosts []string, position int) {
	ports := make([]string, len(members))
	for i, container := range members {
		ports[i] = tpuPort(container, i)
	}
	var hostnames, addresses []string
	for _, host := range hosts {
		for i := range members {
			hostnames = append(hostnames, host)
			addresses = append(addresses, host+":"+ports[i])
		}
	}
	for i, container := range members {
		e.prependVariables(container, []corev1.EnvVar{
			{Name: leaderworkersetv1.TPUWorkerHostnamesEnvVar, Value: strings.Join(hostnames, ",")},
			{Name: leaderworkersetv1.TPUWorkerIDEnvVar, Value: strconv.Itoa(position*len(members) + i)},
			{Name: leaderworkersetv1.TPUNameEnvVar, Value: m.leader},
			{Name: leaderworkersetv1.TPUProcessAddressesEnvVar, Value: strings.Join(addresses, ",")},
			{Name: leaderworkersetv1.TPUProcessPortEnvVar, Value: ports[i]},
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

// runsAlone reports whether the container is an init container that ends before the next one starts. A sidecar isn't.
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
