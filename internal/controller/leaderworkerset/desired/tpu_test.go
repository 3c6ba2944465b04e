// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
)

// tpuGroup describes a group whose pods have a number of TPU containers each.
type tpuGroup struct {
	size, subGroupSize int32 // A subGroupSize of 0 means no subgroups.
	policy             leaderworkersetv1.SubGroupPolicyType
	leaderWithTPUs     bool
	containers         int
	uniqueSubdomains   bool
}

func (g tpuGroup) set() *leaderworkersetv1.LeaderWorkerSet {
	lws := newSet(g.size)
	if g.subGroupSize > 0 {
		withSubGroups(lws, g.subGroupSize, g.policy)
	}
	if g.uniqueSubdomains {
		uniqueSubdomains(lws)
	}
	template := &lws.Spec.LeaderWorkerTemplate
	if !g.leaderWithTPUs {
		template.LeaderTemplate = template.WorkerTemplate.DeepCopy()
	}
	template.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "without"}}
	for i := range g.containers {
		container := tpuContainer(fmt.Sprintf("tpu-%d", i))
		template.WorkerTemplate.Spec.Containers = append(template.WorkerTemplate.Spec.Containers, container)
	}
	return lws
}

// hosts returns the pods of a worker's slice, in order, as the API documents it: those of the worker's own subgroup or,
// without subgroups, of the group. A leader without TPUs isn't among them.
func (g tpuGroup) hosts(worker int32) []int32 {
	var pods []int32
	for other := range g.size {
		if other == 0 && !g.leaderWithTPUs {
			continue
		}
		if g.subGroupSize > 0 && other != worker {
			own, inOne := subGroupOf(g.size, g.subGroupSize, worker, g.policy)
			its, alsoInOne := subGroupOf(g.size, g.subGroupSize, other, g.policy)
			if !inOne || !alsoInOne || own != its {
				continue
			}
		}
		pods = append(pods, other)
	}
	return pods
}

// want returns the variables of one container of one pod.
func (g tpuGroup) want(worker int32, container int) map[string]string {
	subdomain := "llama"
	if g.uniqueSubdomains {
		subdomain = "llama-1"
	}
	var hostnames, addresses []string
	hosts := g.hosts(worker)
	for _, host := range hosts {
		name := "llama-1"
		if host > 0 {
			name = fmt.Sprintf("llama-1-%d", host)
		}
		for i := range g.containers {
			hostnames = append(hostnames, name+"."+subdomain)
			addresses = append(addresses, fmt.Sprintf("%s.%s:%d", name, subdomain, 8476+i))
		}
	}
	return map[string]string{
		"TPU_WORKER_HOSTNAMES":  strings.Join(hostnames, ","),
		"TPU_WORKER_ID":         strconv.Itoa(slices.Index(hosts, worker)*g.containers + container),
		"TPU_NAME":              "llama-1",
		"TPU_PROCESS_ADDRESSES": strings.Join(addresses, ","),
		"TPU_PROCESS_PORT":      strconv.Itoa(8476 + container),
	}
}

func (g tpuGroup) check(t *testing.T) {
	t.Helper()
	for worker, pod := range injectedPods(t, g.set()) {
		tpus := 0
		for _, container := range pod.Spec.Containers {
			got := tpuVariables(container)
			want := map[string]string{}
			if len(container.Resources.Limits) > 0 {
				want = g.want(int32(worker), tpus)
				tpus++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%+v, worker %d, container %s (-want +got):\n%s", g, worker, container.Name, diff)
			}
		}
	}
}

func tpuVariables(container corev1.Container) map[string]string {
	found := map[string]string{}
	for _, v := range container.Env {
		if strings.HasPrefix(v.Name, "TPU_") {
			found[v.Name] = v.Value
		}
	}
	return found
}

// TestTPUEveryGroup compares every pod of every small group with tpuGroup.want.
func TestTPUEveryGroup(t *testing.T) {
	for size := int32(1); size <= 13; size++ {
		for _, leaderWithTPUs := range []bool{true, false} {
			for containers := range 3 {
				for _, unique := range []bool{true, false} {
					group := tpuGroup{size: size, leaderWithTPUs: leaderWithTPUs, containers: containers, uniqueSubdomains: unique}
					group.check(t)
					forEachSubGroupPolicy(size, func(subGroupSize int32, policy leaderworkersetv1.SubGroupPolicyType) {
						group.subGroupSize, group.policy = subGroupSize, policy
						group.check(t)
					})
				}
			}
		}
	}
}

// TestTPUSlicesAreConsistent needs no oracle. It checks that the containers with the same list have distinct IDs, and
// that each finds its pod at its ID in the list.
func TestTPUSlicesAreConsistent(t *testing.T) {
	for size := int32(1); size <= 13; size++ {
		forEachSubGroupPolicy(size, func(subGroupSize int32, policy leaderworkersetv1.SubGroupPolicyType) {
			group := tpuGroup{size: size, subGroupSize: subGroupSize, policy: policy, leaderWithTPUs: size%2 == 0, containers: 2}
			members := map[string]map[string]bool{}
			for _, pod := range injectedPods(t, group.set()) {
				for _, container := range pod.Spec.Containers {
					list := variable(container, "TPU_WORKER_HOSTNAMES")
					if list == missing {
						continue
					}
					id := variable(container, "TPU_WORKER_ID")
					hosts := strings.Split(list, ",")
					if n, err := strconv.Atoi(id); err != nil || n < 0 || n >= len(hosts) || hosts[n] != pod.Name+".llama" {
						t.Errorf("%+v: %s/%s isn't number %s of %s", group, pod.Name, container.Name, id, list)
					}
					if members[list] == nil {
						members[list] = map[string]bool{}
					}
					if members[list][id] {
						t.Errorf("%+v: id %s is twice in %s", group, id, list)
					}
					members[list][id] = true
				}
			}
			for list, ids := range members {
				if want := len(strings.Split(list, ",")); len(ids) != want {
					t.Errorf("%+v: %d containers see %s, want %d", group, len(ids), list, want)
				}
			}
		})
	}
}

func TestTPUWorkedExample(t *testing.T) {
	pods := injectedPods(t, tpuGroup{size: 3, containers: 2}.set())
	want := map[string]string{
		"TPU_WORKER_HOSTNAMES":  "llama-1-1.llama,llama-1-1.llama,llama-1-2.llama,llama-1-2.llama",
		"TPU_WORKER_ID":         "3",
		"TPU_NAME":              "llama-1",
		"TPU_PROCESS_ADDRESSES": "llama-1-1.llama:8476,llama-1-1.llama:8477,llama-1-2.llama:8476,llama-1-2.llama:8477",
		"TPU_PROCESS_PORT":      "8477",
	}
	if diff := cmp.Diff(want, tpuVariables(pods[2].Spec.Containers[2])); diff != "" {
		t.Errorf("second TPU container of llama-1-2 (-want +got):\n%s", diff)
	}
}

func TestTPUPortOfTheUserIsKept(t *testing.T) {
	lws := newSet(2)
	first, second := tpuContainer("first"), tpuContainer("second")
	first.Env = []corev1.EnvVar{{Name: "BEFORE", Value: "x"}, {Name: "TPU_PROCESS_PORT", Value: "9000"}}
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{first, second}
	for _, pod := range injectedPods(t, lws) {
		for i, port := range []string{"9000", "8477"} {
			container := pod.Spec.Containers[i]
			if got := variable(container, "TPU_PROCESS_PORT"); got != port {
				t.Errorf("%s/%s: port is %s, want %s", pod.Name, container.Name, got, port)
			}
			want := "llama-1.llama:9000,llama-1.llama:8477,llama-1-1.llama:9000,llama-1-1.llama:8477"
			if got := variable(container, "TPU_PROCESS_ADDRESSES"); got != want {
				t.Errorf("%s/%s: addresses are %s, want %s", pod.Name, container.Name, got, want)
			}
		}
		if got := variable(pod.Spec.Containers[0], "BEFORE"); got != "x" {
			t.Errorf("%s: the user's own variable is %s, want x", pod.Name, got)
		}
	}
}

func TestTPUPodWithUsersVariablesStaysAsItIs(t *testing.T) {
	for _, name := range []string{"TPU_WORKER_HOSTNAMES", "TPU_WORKER_ID", "TPU_NAME", "TPU_PROCESS_ADDRESSES"} {
		lws := newSet(2)
		mine, other := tpuContainer("mine"), tpuContainer("other")
		mine.Env = []corev1.EnvVar{{Name: name, Value: "mine"}}
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{other, mine}
		for _, pod := range injectedPods(t, lws) {
			if got := tpuVariables(pod.Spec.Containers[0]); len(got) > 0 {
				t.Errorf("%s is set: the other container got %v", name, got)
			}
			if diff := cmp.Diff(map[string]string{name: "mine"}, tpuVariables(pod.Spec.Containers[1])); diff != "" {
				t.Errorf("%s is set (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestTPURequestsCountAsLimitsDo(t *testing.T) {
	lws := newSet(1)
	container := tpuContainer("main")
	container.Resources.Requests, container.Resources.Limits = container.Resources.Limits, nil
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{container}
	if got := variable(injectedPods(t, lws)[0].Spec.Containers[0], "TPU_WORKER_ID"); got != "0" {
		t.Errorf("TPU_WORKER_ID is %s, want 0", got)
	}
}

// TestTPUInitContainers has an init container, which ends before the other containers start, and a sidecar, which runs
// beside the main container.
func TestTPUInitContainers(t *testing.T) {
	lws := newSet(2)
	sidecar := tpuContainer("sidecar")
	sidecar.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	spec := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
	spec.InitContainers = []corev1.Container{tpuContainer("init"), sidecar}
	spec.Containers = []corev1.Container{tpuContainer("main")}
	pod := injectedPods(t, lws)[1]
	for _, tc := range []struct {
		container       corev1.Container
		hosts, id, port string
	}{
		{pod.Spec.InitContainers[0], "llama-1.llama,llama-1-1.llama", "1", "8476"},
		{pod.Spec.InitContainers[1], "llama-1.llama,llama-1.llama,llama-1-1.llama,llama-1-1.llama", "2", "8476"},
		{pod.Spec.Containers[0], "llama-1.llama,llama-1.llama,llama-1-1.llama,llama-1-1.llama", "3", "8477"},
	} {
		got := [3]string{
			variable(tc.container, "TPU_WORKER_HOSTNAMES"),
			variable(tc.container, "TPU_WORKER_ID"),
			variable(tc.container, "TPU_PROCESS_PORT"),
		}
		if want := [3]string{tc.hosts, tc.id, tc.port}; got != want {
			t.Errorf("%s: hosts, id and port are %q, want %q", tc.container.Name, got, want)
		}
	}
}

// TestTPUsOfHugeGroups checks that a pod is rejected at once if its list of hosts would be longer than a variable may
// be, and that a small subgroup of such a group gets its own list.
func TestTPUsOfHugeGroups(t *testing.T) {
	const largest = "2147483647"
	set := newSet(2)
	set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{tpuContainer("main")}
	for index, pod := range createdPods(set, 0) {
		pod.Annotations[leaderworkersetv1.SizeAnnotationKey] = largest
		before := pod.DeepCopy()
		if _, err := desired.Inject(pod); err == nil || !strings.Contains(err.Error(), "TPU_WORKER_HOSTNAMES") {
			t.Errorf("pod %d: got error %v, want one about TPU_WORKER_HOSTNAMES", index, err)
		}
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Errorf("pod %d was changed: %s", index, diff)
		}
		pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey] = "2"
		if _, err := desired.Inject(pod); err != nil {
			t.Errorf("pod %d in a subgroup: %v", index, err)
		}
	}
}

// TestTPUsOfManyContainers checks that a pod is rejected at once if the variables of its containers would be too large.
// Each container of a slice has variables that list all containers of all hosts.
func TestTPUsOfManyContainers(t *testing.T) {
	several := func(n int, env ...corev1.EnvVar) []corev1.Container {
		list := make([]corev1.Container, n)
		for i := range list {
			list[i] = tpuContainer(fmt.Sprintf("c%d", i))
			list[i].Env = env
		}
		return list
	}
	longPort := corev1.EnvVar{Name: "TPU_PROCESS_PORT", Value: strings.Repeat("8", 1<<19)}
	for name, test := range map[string]struct {
		size        string
		init, main  []corev1.Container
		wantMessage string
	}{
		"containers that run together": {"1000", nil, several(300), "TPU_WORKER_HOSTNAMES would have more than 131072 bytes"},
		"containers that run alone":    {"4000", several(40), several(1), "the variables of TPUs would have more than"},
		"a long port":                  {"1000", nil, several(1, longPort), "TPU_PROCESS_ADDRESSES would have more than"},
		"as many as fit":               {"64", several(10), several(8), ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := newSet(2)
			set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.InitContainers = test.init
			set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = test.main
			for index, pod := range createdPods(set, 0) {
				pod.Annotations[leaderworkersetv1.SizeAnnotationKey] = test.size
				_, err := desired.Inject(pod)
				if (err == nil) != (test.wantMessage == "") || (err != nil && !strings.Contains(err.Error(), test.wantMessage)) {
					t.Errorf("pod %d: got error %v, want %q", index, err, test.wantMessage)
				}
			}
		})
	}
}
