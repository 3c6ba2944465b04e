// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"crypto/sha1" //nolint:gosec // The contract's keys are SHA-1.
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
)

const (
	leaderWorker   = leaderworkersetv1.SubGroupPolicyTypeLeaderWorker
	leaderExcluded = leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded
)

func sha1Of(text string) string {
	return fmt.Sprintf("%x", sha1.Sum([]byte(text))) //nolint:gosec // See the import.
}

func TestInjectLabelsAndVariables(t *testing.T) {
	pods := injectedPods(t, newSet(3))
	for worker, name := range []string{"llama-1", "llama-1-1", "llama-1-2"} {
		pod := pods[worker]
		if pod.Name != name {
			t.Errorf("pod %d is %s, want %s", worker, pod.Name, name)
		}
		labels := map[string]string{
			prefix + "name": "llama", prefix + "group-index": "1", prefix + "worker-index": strconv.Itoa(worker),
			prefix + "group-key": sha1Of("default/llama-1"), prefix + "template-revision-hash": key,
		}
		if diff := cmp.Diff(labels, pod.Labels); diff != "" {
			t.Errorf("%s: labels (-want +got):\n%s", name, diff)
		}
		env := []corev1.EnvVar{
			{Name: "LWS_LEADER_ADDRESS", Value: "llama-1.llama.default"},
			{Name: "LWS_GROUP_SIZE", Value: "3"},
			{Name: "LWS_WORKER_INDEX", Value: strconv.Itoa(worker)},
		}
		if diff := cmp.Diff(env, pod.Spec.Containers[0].Env); diff != "" {
			t.Errorf("%s: variables (-want +got):\n%s", name, diff)
		}
		if pod.Spec.Subdomain != "llama" {
			t.Errorf("%s: subdomain is %q, want llama", name, pod.Spec.Subdomain)
		}
		if pod.Spec.Affinity != nil {
			t.Errorf("%s: got affinity %v, want none", name, pod.Spec.Affinity)
		}
	}
}

func TestInjectSubdomainPerGroup(t *testing.T) {
	lws := newSet(2)
	uniqueSubdomains(lws)
	for _, pod := range injectedPods(t, lws) {
		if pod.Spec.Subdomain != "llama-1" {
			t.Errorf("%s: subdomain is %q, want llama-1", pod.Name, pod.Spec.Subdomain)
		}
		if got := variable(pod.Spec.Containers[0], "LWS_LEADER_ADDRESS"); got != "llama-1.llama-1.default" {
			t.Errorf("%s: leader's address is %q, want llama-1.llama-1.default", pod.Name, got)
		}
	}
}

// TestInjectPutsVariablesFirst has a variable that refers to an injected one. Kubernetes expands such a reference only
// if the injected variable comes first.
func TestInjectPutsVariablesFirst(t *testing.T) {
	lws := newSet(1)
	spec := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
	users := []corev1.EnvVar{
		{Name: "MASTER", Value: "tcp://$(LWS_LEADER_ADDRESS):29500"},
		{Name: "LWS_GROUP_SIZE", Value: "999"},
		{Name: "LAST", Value: "x"},
		{Name: "LWS_LEADER_ADDRESS", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"},
		}},
	}
	spec.InitContainers = []corev1.Container{{Name: "init", Env: users}}
	spec.Containers = []corev1.Container{{Name: "main", Env: users}, {Name: "proxy"}}
	pod := injectedPods(t, lws)[0]

	first := []corev1.EnvVar{
		{Name: "LWS_LEADER_ADDRESS", Value: "llama-1.llama.default"},
		{Name: "LWS_GROUP_SIZE", Value: "1"},
		{Name: "LWS_WORKER_INDEX", Value: "0"},
	}
	all := slices.Concat(first, []corev1.EnvVar{users[0], users[2]})
	for _, tc := range []struct {
		container corev1.Container
		want      []corev1.EnvVar
	}{{pod.Spec.InitContainers[0], all}, {pod.Spec.Containers[0], all}, {pod.Spec.Containers[1], first}} {
		if diff := cmp.Diff(tc.want, tc.container.Env); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", tc.container.Name, diff)
		}
	}
}

// TestInjectTwice calls again, as the API server may do after another webhook changed the pod.
func TestInjectTwice(t *testing.T) {
	lws := fullSet(t)
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{tpuContainer("a"), tpuContainer("b")}
	for _, pod := range injectedPods(t, lws) {
		once := pod.DeepCopy()
		if patch, err := desired.Inject(pod); err != nil || len(patch) > 0 {
			t.Errorf("%s: a second time: got error %v and operations %v, want neither", pod.Name, err, patch)
		}
		if diff := cmp.Diff(once, pod); diff != "" {
			t.Errorf("%s: a second time (-once +twice):\n%s", pod.Name, diff)
		}
	}
}

// TestInjectSubGroups compares every pod of every small group with subGroupOf.
func TestInjectSubGroups(t *testing.T) {
	for size := range int32(17) {
		forEachSubGroupPolicy(size, func(subGroupSize int32, policy leaderworkersetv1.SubGroupPolicyType) {
			lws := newSet(size)
			withSubGroups(lws, subGroupSize, policy)
			for worker, pod := range injectedPods(t, lws) {
				index, ok := subGroupOf(size, subGroupSize, int32(worker), policy)
				want := map[string]string{}
				if ok {
					want[prefix+"subgroup-index"] = strconv.Itoa(int(index))
					want[prefix+"subgroup-key"] = sha1Of(fmt.Sprintf("llama-1/%d", index))
				}
				got := maps.Clone(pod.Labels)
				maps.DeleteFunc(got, func(key, _ string) bool { return !strings.HasPrefix(key, prefix+"subgroup-") })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("size %d, subgroups of %d, %s, worker %d (-want +got):\n%s", size, subGroupSize, policy, worker, diff)
				}
			}
		})
	}
}

// forEachSubGroupPolicy calls the function with every policy that is valid for groups of this size.
func forEachSubGroupPolicy(size int32, call func(subGroupSize int32, policy leaderworkersetv1.SubGroupPolicyType)) {
	for subGroupSize := int32(1); subGroupSize <= size; subGroupSize++ {
		if (size-1)%subGroupSize == 0 {
			call(subGroupSize, leaderExcluded)
		}
		if (size-1)%subGroupSize == 0 || size%subGroupSize == 0 {
			call(subGroupSize, leaderWorker)
		}
	}
}

// subGroupOf assigns the pods of a group to its subgroups, one subgroup after the other, as the API documents it. ok is
// false for a leader that is in no subgroup.
func subGroupOf(size, subGroupSize, worker int32, policy leaderworkersetv1.SubGroupPolicyType) (index int32, ok bool) {
	first := int32(0) // The first pod of the first subgroup, unless the leader is an extra pod of it.
	if policy == leaderExcluded || size%subGroupSize != 0 {
		first = 1
	}
	for pod := first; pod < size; pod += subGroupSize {
		if worker >= pod && worker < pod+subGroupSize {
			return (pod - first) / subGroupSize, true
		}
	}
	return 0, policy == leaderWorker
}

func exclusive(label, value string) (required, anti corev1.PodAffinityTerm) {
	in := metav1.LabelSelectorRequirement{Key: prefix + label, Operator: metav1.LabelSelectorOpIn, Values: []string{value}}
	notIn := in
	notIn.Operator = metav1.LabelSelectorOpNotIn
	exists := metav1.LabelSelectorRequirement{Key: prefix + label, Operator: metav1.LabelSelectorOpExists}
	term := func(expressions ...metav1.LabelSelectorRequirement) corev1.PodAffinityTerm {
		return corev1.PodAffinityTerm{
			TopologyKey:   "rack",
			LabelSelector: &metav1.LabelSelector{MatchExpressions: expressions},
		}
	}
	return term(in), term(exists, notIn)
}

// checkAffinity checks that the pod has exactly these required terms.
func checkAffinity(t *testing.T, pod *corev1.Pod, required, anti []corev1.PodAffinityTerm) {
	t.Helper()
	var gotRequired, gotAnti []corev1.PodAffinityTerm
	if affinity := pod.Spec.Affinity; affinity != nil && affinity.PodAffinity != nil {
		gotRequired = affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if affinity := pod.Spec.Affinity; affinity != nil && affinity.PodAntiAffinity != nil {
		gotAnti = affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if diff := cmp.Diff(required, gotRequired); diff != "" {
		t.Errorf("%s: pod affinity (-want +got):\n%s", pod.Name, diff)
	}
	if diff := cmp.Diff(anti, gotAnti); diff != "" {
		t.Errorf("%s: pod anti-affinity (-want +got):\n%s", pod.Name, diff)
	}
}

func TestInjectExclusivePlacement(t *testing.T) {
	lws := newSet(2)
	lws.Annotations = map[string]string{prefix + "exclusive-topology": "rack"}
	required, anti := exclusive("group-key", sha1Of("default/llama-1"))
	pods := injectedPods(t, lws)
	checkAffinity(t, pods[0], []corev1.PodAffinityTerm{required}, []corev1.PodAffinityTerm{anti})
	checkAffinity(t, pods[1], nil, nil) // It follows its leader by nodeSelector.
}

// TestInjectExclusivePlacementInASet keeps a group away from the groups of its own set only.
func TestInjectExclusivePlacementInASet(t *testing.T) {
	lws := newSet(2)
	lws.Annotations = map[string]string{
		prefix + "exclusive-topology": "rack", prefix + "exclusive-topology-scope": "LeaderWorkerSet",
	}
	required, anti := exclusive("group-key", sha1Of("default/llama-1"))
	anti.LabelSelector.MatchExpressions = append(anti.LabelSelector.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: prefix + "name", Operator: metav1.LabelSelectorOpIn, Values: []string{"llama"},
	})
	pods := injectedPods(t, lws)
	checkAffinity(t, pods[0], []corev1.PodAffinityTerm{required}, []corev1.PodAffinityTerm{anti})
	checkAffinity(t, pods[1], nil, nil)
}

// TestInjectSharedTopology keeps the pods of a group together, and not away from others.
func TestInjectSharedTopology(t *testing.T) {
	lws := newSet(2)
	lws.Annotations = map[string]string{prefix + "share-topology": "rack"}
	required, _ := exclusive("group-key", sha1Of("default/llama-1"))
	for _, pod := range injectedPods(t, lws) {
		checkAffinity(t, pod, []corev1.PodAffinityTerm{required}, nil)
	}
}

// TestInjectSharedTopologyInAnExclusiveOne gives each group a zone for itself, and in it one rack.
func TestInjectSharedTopologyInAnExclusiveOne(t *testing.T) {
	lws := newSet(2)
	lws.Annotations = map[string]string{prefix + "exclusive-topology": "zone", prefix + "share-topology": "rack"}
	together, apart := exclusive("group-key", sha1Of("default/llama-1"))
	zone := *together.DeepCopy()
	zone.TopologyKey, apart.TopologyKey = "zone", "zone"
	pods := injectedPods(t, lws)
	checkAffinity(t, pods[0], []corev1.PodAffinityTerm{zone, together}, []corev1.PodAffinityTerm{apart})
	checkAffinity(t, pods[1], []corev1.PodAffinityTerm{together}, nil)
}

func TestInjectExclusivePlacementOfSubGroups(t *testing.T) {
	lws := newSet(5)
	lws.Annotations = map[string]string{prefix + "subgroup-exclusive-topology": "rack"}
	withSubGroups(lws, 2, leaderExcluded)
	pods := injectedPods(t, lws)
	checkAffinity(t, pods[0], nil, nil) // It is in no subgroup.
	for worker, subGroup := range map[int]string{1: "llama-1/0", 2: "llama-1/0", 3: "llama-1/1", 4: "llama-1/1"} {
		required, anti := exclusive("subgroup-key", sha1Of(subGroup))
		checkAffinity(t, pods[worker], []corev1.PodAffinityTerm{required}, []corev1.PodAffinityTerm{anti})
	}
}

func TestInjectKeepsTheUsersAffinity(t *testing.T) {
	lws := newSet(2)
	lws.Annotations = map[string]string{
		prefix + "exclusive-topology": "rack", prefix + "subgroup-exclusive-topology": "rack",
	}
	withSubGroups(lws, 1, leaderWorker)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	rack := corev1.PodAffinityTerm{TopologyKey: "rack", LabelSelector: selector}
	zone := corev1.PodAffinityTerm{TopologyKey: "zone"}
	node := &corev1.NodeAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1}},
	}
	preferred := []corev1.WeightedPodAffinityTerm{{Weight: 2, PodAffinityTerm: rack}}
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Affinity = &corev1.Affinity{
		NodeAffinity: node,
		PodAffinity:  &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{rack}},
		PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{rack, zone},
			PreferredDuringSchedulingIgnoredDuringExecution: preferred,
		},
	}
	leader := injectedPods(t, lws)[0]
	group, antiGroup := exclusive("group-key", sha1Of("default/llama-1"))
	sub, antiSub := exclusive("subgroup-key", sha1Of("llama-1/0"))
	required, anti := []corev1.PodAffinityTerm{rack, group, sub}, []corev1.PodAffinityTerm{rack, zone, antiGroup, antiSub}
	checkAffinity(t, leader, required, anti)
	if diff := cmp.Diff(node, leader.Spec.Affinity.NodeAffinity); diff != "" {
		t.Errorf("node affinity (-want +got):\n%s", diff)
	}
	podAntiAffinity := leader.Spec.Affinity.PodAntiAffinity
	if diff := cmp.Diff(preferred, podAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution); diff != "" {
		t.Errorf("preferred terms (-want +got):\n%s", diff)
	}
}

func TestInjectRejectsMalformedPods(t *testing.T) {
	labels := map[string]string{prefix + "name": "llama", prefix + "worker-index": "0"}
	size := map[string]string{prefix + "size": "2"}
	for _, tc := range []struct {
		name, pod           string
		labels, annotations map[string]string
		want                string
	}{
		{"no name", "", labels, size, `pod name "" doesn't end in an ordinal`},
		{"no ordinal", "llama", labels, size, `pod name "llama" doesn't end in an ordinal`},
		{"leading zero", "llama-01", labels, size, `pod name "llama-01" doesn't end in an ordinal`},
		{"no labels", "llama-1-1", nil, size, `label leaderworkerset.sigs.k8s.io/group-index: "" is not a group index`},
		{
			"group index is a word", "llama-1-1", map[string]string{prefix + "group-index": "one"}, size,
			`label leaderworkerset.sigs.k8s.io/group-index: "one" is not a group index`,
		},
		{
			"no annotations", "llama-1", labels, nil,
			`annotation leaderworkerset.sigs.k8s.io/size: "" is not the size of a group`,
		},
		{
			"no size at all", "llama-1", labels, map[string]string{prefix + "size": "0"},
			`annotation leaderworkerset.sigs.k8s.io/size: "0" is not the size of a group`,
		},
		{
			"negative size", "llama-1", labels, map[string]string{prefix + "size": "-2"},
			`annotation leaderworkerset.sigs.k8s.io/size: "-2" is not the size of a group`,
		},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: tc.pod, Labels: tc.labels, Annotations: tc.annotations}}
		before := pod.DeepCopy()
		if patch, err := desired.Inject(pod); err == nil || err.Error() != tc.want || len(patch) > 0 {
			t.Errorf("%s: got error %v and operations %v, want error %q", tc.name, err, patch, tc.want)
		}
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Errorf("%s: the pod changed all the same (-before +after):\n%s", tc.name, diff)
		}
	}
}

// TestInjectWithGarbage has annotations of subgroups that older versions may have written.
func TestInjectWithGarbage(t *testing.T) {
	for _, subGroupSize := range []string{"0", "-1", "x", "", "7"} {
		pod := createdPods(newSet(2), 1)[1]
		pod.Spec.Containers = []corev1.Container{tpuContainer("main")}
		pod.Annotations[prefix+"subgroup-size"] = subGroupSize
		inject(t, pod)
		if got := variable(pod.Spec.Containers[0], "TPU_WORKER_HOSTNAMES"); got != "llama-1-1.llama" {
			t.Errorf("subgroup-size %q: hosts are %q, want llama-1-1.llama", subGroupSize, got)
		}
	}
}
