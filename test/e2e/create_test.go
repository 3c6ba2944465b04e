// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

func TestLeaderTemplate(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "pair", 2, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		leader, worker := podTemplate(), &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		leader.Labels, worker.Labels = map[string]string{"role": "leader"}, map[string]string{"role": "worker"}
		leader.Spec.Containers[0].Name, worker.Spec.Containers[0].Name = "lead", "work"
		lws.Spec.LeaderWorkerTemplate.LeaderTemplate = &leader
	})
	create(t, lws)
	untilAvailable(t, lws)

	got := map[string][]string{}
	for _, pod := range listed(t, podsIn(namespace)) {
		got[pod.Name] = []string{
			pod.Labels["role"], pod.Spec.Containers[0].Name, pod.Labels[leaderworkersetv1.WorkerIndexLabelKey],
		}
	}
	check(t, "role, container and index of the pods", map[string][]string{
		"pair-0": {"leader", "lead", "0"}, "pair-0-1": {"worker", "work", "1"},
		"pair-1": {"leader", "lead", "0"}, "pair-1-1": {"worker", "work", "1"},
	}, got)
}

func TestSizeOne(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
	lws := newSet(namespace, "alone", 3, 1)
	create(t, lws)
	untilAvailable(t, lws)

	pods := listed(t, podsIn(namespace))
	check(t, "pods", podNames("alone", 3, 1), namesOf(pods))
	check(t, "StatefulSets that ever were", map[string]int{"alone": 1}, statefulSets.incarnations(t))
	check(t, "LWS_GROUP_SIZE", "1", variable(pods[0].Spec.Containers[0], leaderworkersetv1.GroupSizeEnvVar))
}

// TestLeaderReady checks that no worker is created before its leader is ready. It replays what the API server recorded.
func TestLeaderReady(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	lws := newSet(namespace, "patient", 2, 3, readyAfter("2s"), func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
	})
	create(t, lws)
	untilAvailable(t, lws)

	state := map[string]*corev1.Pod{}
	for _, change := range pods.soFar(t) {
		pod := change.object
		if leader := pod.Annotations[leaderworkersetv1.LeaderPodNameAnnotationKey]; state[pod.Name] == nil && leader != "" {
			if state[leader] == nil || !objects.PodReady(state[leader]) {
				t.Errorf("%s was created before %s was ready", pod.Name, leader)
			}
		}
		change.apply(state)
	}
	check(t, "pods", podNames("patient", 2, 3), slices.Sorted(maps.Keys(state)))
}

// TestLeaderCreated uses leaders that fit no node. Their workers are created nevertheless.
func TestLeaderCreated(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "hasty", 2, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		leader := podTemplate()
		leader.Spec.NodeSelector = map[string]string{"no-node-has": "this"}
		lws.Spec.LeaderWorkerTemplate.LeaderTemplate = &leader
		lws.Spec.StartupPolicy = leaderworkersetv1.LeaderCreatedStartupPolicy
	})
	create(t, lws)
	untilNamed(t, podsIn(namespace), podNames("hasty", 2, 3)...)
	for _, pod := range listed(t, podsIn(namespace)) {
		if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" && pod.Spec.NodeName != "" {
			t.Errorf("%s runs on %s", pod.Name, pod.Spec.NodeName)
		}
	}
}

func TestUniquePerReplica(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "net", 3, 2, uniquePerReplica)
	create(t, lws)
	untilAvailable(t, lws)
	untilNamed(t, servicesIn(namespace), "net-0", "net-1", "net-2")

	pods := listed(t, podsIn(namespace))
	for group, service := range listed(t, servicesIn(namespace)) {
		leader := named(t, pods, service.Name)
		checkGroupService(t, leader, service, group)
		for _, pod := range []*corev1.Pod{leader, named(t, pods, service.Name+"-1")} {
			check(t, "subdomain of "+pod.Name, service.Name, pod.Spec.Subdomain)
			check(t, "LWS_LEADER_ADDRESS of "+pod.Name, service.Name+"."+service.Name+"."+namespace,
				variable(pod.Spec.Containers[0], leaderworkersetv1.LeaderAddressEnvVar))
		}
	}

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(1)) })
	untilNamed(t, servicesIn(namespace), "net-0")
	remove(t, lws)
	untilNamed(t, servicesIn(namespace))
}

func checkGroupService(t *testing.T, leader *corev1.Pod, service *corev1.Service, group int) {
	t.Helper()
	labels := map[string]string{
		leaderworkersetv1.SetNameLabelKey:    "net",
		leaderworkersetv1.GroupIndexLabelKey: fmt.Sprint(group),
	}
	check(t, "labels of Service "+service.Name, labels, service.Labels)
	check(t, "selector of Service "+service.Name, labels, service.Spec.Selector)
	check(t, "clusterIP of Service "+service.Name, corev1.ClusterIPNone, service.Spec.ClusterIP)
	check(t, "publishNotReadyAddresses of Service "+service.Name, true, service.Spec.PublishNotReadyAddresses)
	check(t, "annotation of "+leader.Name, string(leaderworkersetv1.SubdomainUniquePerReplica),
		leader.Annotations[leaderworkersetv1.SubdomainPolicyAnnotationKey])
	owner := ownedBy("v1", "Pod", leader)
	if len(service.OwnerReferences) != 1 {
		t.Fatalf("owners of Service %s: want one, got %v", service.Name, service.OwnerReferences)
	}
	check(t, "owner of Service "+service.Name, owner, service.OwnerReferences[0])
}

// TestEnvironment sets variables that refer to the operator's variables, and one whose value the operator replaces.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "env", 1, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		spec := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
		spec.Containers[0].Env = []corev1.EnvVar{
			{Name: "MASTER", Value: "$(LWS_LEADER_ADDRESS):8080"},
			{Name: leaderworkersetv1.GroupSizeEnvVar, Value: "77"},
			{Name: "RANK", Value: "$(LWS_WORKER_INDEX)"},
		}
		spec.InitContainers = []corev1.Container{{Name: "init", Image: image, Env: slices.Clone(spec.Containers[0].Env)}}
	})
	create(t, lws)
	untilNamed(t, podsIn(namespace), "env-0", "env-0-1")

	for index, pod := range listed(t, podsIn(namespace)) {
		want := []corev1.EnvVar{
			{Name: leaderworkersetv1.LeaderAddressEnvVar, Value: "env-0.env." + namespace},
			{Name: leaderworkersetv1.GroupSizeEnvVar, Value: "2"},
			{Name: leaderworkersetv1.WorkerIndexEnvVar, Value: fmt.Sprint(index)},
			{Name: "MASTER", Value: "$(LWS_LEADER_ADDRESS):8080"},
			{Name: "RANK", Value: "$(LWS_WORKER_INDEX)"},
		}
		check(t, "variables of "+pod.Name, want, pod.Spec.Containers[0].Env)
		check(t, "variables of the init container of "+pod.Name, want, pod.Spec.InitContainers[0].Env)
	}
}

// TestTPU checks that TPU containers get the addresses of each other. Unit tests cover all cases of the injected
// variables.
func TestTPU(t *testing.T) {
	t.Parallel()
	tpu := func(template *corev1.PodTemplateSpec) {
		limits := corev1.ResourceList{leaderworkersetv1.TPUResourceName: resource.MustParse("4")}
		template.Spec.Containers[0].Resources.Limits = limits
	}
	tests := map[string]struct {
		leaderTemplate *corev1.PodTemplateSpec
		hostnames      string
		ids            map[string]string
	}{
		"all pods": {
			hostnames: "tpu-0.tpu,tpu-0-1.tpu,tpu-0-2.tpu",
			ids:       map[string]string{"tpu-0": "0", "tpu-0-1": "1", "tpu-0-2": "2"},
		},
		"workers only": {
			leaderTemplate: ptr.To(podTemplate()),
			hostnames:      "tpu-0-1.tpu,tpu-0-2.tpu",
			ids:            map[string]string{"tpu-0-1": "0", "tpu-0-2": "1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			create(t, newSet(namespace, "tpu", 1, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
				tpu(&lws.Spec.LeaderWorkerTemplate.WorkerTemplate)
				lws.Spec.LeaderWorkerTemplate.LeaderTemplate = test.leaderTemplate
			}))
			untilNamed(t, podsIn(namespace), podNames("tpu", 1, 3)...)
			ids := map[string]string{}
			for _, pod := range listed(t, podsIn(namespace)) {
				container := pod.Spec.Containers[0]
				if len(container.Resources.Limits) == 0 {
					check(t, "TPU variables of "+pod.Name, "", variable(container, leaderworkersetv1.TPUWorkerHostnamesEnvVar))
					continue
				}
				ids[pod.Name] = variable(container, leaderworkersetv1.TPUWorkerIDEnvVar)
				check(t, "hostnames of "+pod.Name, test.hostnames, variable(container, leaderworkersetv1.TPUWorkerHostnamesEnvVar))
				check(t, "TPU_NAME of "+pod.Name, "tpu-0", variable(container, leaderworkersetv1.TPUNameEnvVar))
				check(t, "port of "+pod.Name, "8476", variable(container, leaderworkersetv1.TPUProcessPortEnvVar))
			}
			check(t, "ids", test.ids, ids)
		})
	}
}

func TestSubGroups(t *testing.T) {
	t.Parallel()
	const (
		none           = ""
		leaderWorker   = leaderworkersetv1.SubGroupPolicyTypeLeaderWorker
		leaderExcluded = leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded
	)
	tests := map[string]struct {
		size, subGroupSize int32
		policy             leaderworkersetv1.SubGroupPolicyType
		indices            []string // by worker index
	}{
		"leader is an extra member": {5, 2, leaderWorker, []string{"0", "0", "0", "1", "1"}},
		"leader is a member":        {4, 2, leaderWorker, []string{"0", "0", "1", "1"}},
		"leader is excluded":        {5, 2, leaderExcluded, []string{none, "0", "0", "1", "1"}},
		"each pod is a subgroup":    {3, 1, leaderWorker, []string{"0", "1", "2"}},
		"each worker is a subgroup": {3, 1, leaderExcluded, []string{none, "0", "1"}},
		"the group is one subgroup": {3, 3, leaderWorker, []string{"0", "0", "0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			create(t, newSet(namespace, "sub", 1, test.size, func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{
					Type: test.policy, SubGroupSize: ptr.To(test.subGroupSize),
				}
			}))
			untilNamed(t, podsIn(namespace), podNames("sub", 1, test.size)...)
			for worker, pod := range listed(t, podsIn(namespace)) {
				wantKey := ""
				if test.indices[worker] != none {
					wantKey = sha1Hex("sub-0/" + test.indices[worker])
				}
				check(t, "subgroup of "+pod.Name, test.indices[worker], pod.Labels[leaderworkersetv1.SubGroupIndexLabelKey])
				check(t, "subgroup key of "+pod.Name, wantKey, pod.Labels[leaderworkersetv1.SubGroupUniqueHashLabelKey])
				check(t, "subgroup size of "+pod.Name, fmt.Sprint(test.subGroupSize),
					pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey])
				check(t, "subgroup policy of "+pod.Name, string(test.policy),
					pod.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey])
			}
		})
	}
}

// variable returns the value of a container's environment variable, or "" if there is none.
func variable(container corev1.Container, name string) string {
	i := slices.IndexFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == name })
	if i < 0 {
		return ""
	}
	return container.Env[i].Value
}
