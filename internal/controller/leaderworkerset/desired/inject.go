// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// Inject gives a pod of a group, as its StatefulSet creates it, what only its ordinal tells: its place in the group as labels, the
// variables by which its processes find each other, its subdomain and its exclusive placement. Injecting twice changes nothing.
// It fails for a pod whose name, labels or annotations don't say where it belongs.
func Inject(pod *corev1.Pod) error {
	member, err := memberOf(pod)
	if err != nil {
		return err
	}
	member.label(pod)
	if pod.Annotations[leaderworkersetv1.SubdomainPolicyAnnotationKey] == string(leaderworkersetv1.SubdomainUniquePerReplica) {
		pod.Spec.Subdomain = identity.Service(member.set, member.group, leaderworkersetv1.SubdomainUniquePerReplica)
	}
	member.place(pod)
	member.addTPUVariables(pod)
	member.addVariables(pod)
	return nil
}

// member is a pod's place: which set, which group, which of its pods.
type member struct {
	set, namespace, leader string
	group, worker, size    int32
	subGroup               int32
	inSubGroup             bool
	subGroupSize           int32
	subGroupPolicy         leaderworkersetv1.SubGroupPolicyType
}

func memberOf(pod *corev1.Pod) (*member, error) {
	parent, ordinal, ok := identity.Parse(pod.Name)
	if !ok {
		return nil, fmt.Errorf("pod name %q doesn't end in an ordinal", pod.Name)
	}
	m := &member{set: pod.Labels[leaderworkersetv1.SetNameLabelKey], namespace: pod.Namespace}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == identity.FormatIndex(0) {
		m.leader, m.group = pod.Name, ordinal
	} else {
		group, ok := identity.ParseIndex(pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
		if !ok {
			return nil, fmt.Errorf("label %s: %q is not a group index", leaderworkersetv1.GroupIndexLabelKey, pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
		}
		m.leader, m.group, m.worker = parent, group, ordinal
	}
	if m.size, ok = identity.ParseIndex(pod.Annotations[leaderworkersetv1.SizeAnnotationKey]); !ok || m.size < 1 {
		return nil, fmt.Errorf("annotation %s: %q is not the size of a group", leaderworkersetv1.SizeAnnotationKey, pod.Annotations[leaderworkersetv1.SizeAnnotationKey])
	}
	if size, ok := identity.ParseIndex(pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey]); ok {
		m.subGroupSize = size
		m.subGroupPolicy = leaderworkersetv1.SubGroupPolicyType(pod.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey])
		m.subGroup, m.inSubGroup = identity.SubGroupIndex(m.size, size, m.worker, m.subGroupPolicy)
	}
	return m, nil
}

func (m *member) label(pod *corev1.Pod) {
	pod.Labels[leaderworkersetv1.GroupIndexLabelKey] = identity.FormatIndex(m.group)
	pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] = identity.FormatIndex(m.worker)
	pod.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] = identity.GroupKey(m.namespace, m.leader)
	if m.inSubGroup {
		pod.Labels[leaderworkersetv1.SubGroupIndexLabelKey] = identity.FormatIndex(m.subGroup)
		pod.Labels[leaderworkersetv1.SubGroupUniqueHashLabelKey] = identity.SubGroupKey(m.leader, m.subGroup)
	}
}

// place adds the affinity of exclusive placement. Workers of a group follow their leader by a nodeSelector, so only the leader needs
// affinity for the group's place; a subgroup has no pod that leads the way, so each of its pods needs it.
func (m *member) place(pod *corev1.Pod) {
	if key := pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]; key != "" && m.worker == 0 {
		addExclusiveAffinity(pod, key, leaderworkersetv1.GroupUniqueHashLabelKey)
	}
	if key := pod.Annotations[leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey]; key != "" && m.inSubGroup {
		addExclusiveAffinity(pod, key, leaderworkersetv1.SubGroupUniqueHashLabelKey)
	}
}

// LeadsToAPlace says whether an injected pod is a leader whose affinity binds it to the place of its group, or of its subgroup.
func LeadsToAPlace(pod *corev1.Pod) bool {
	group := pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] != ""
	subGroup := pod.Annotations[leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey] != "" && pod.Labels[leaderworkersetv1.SubGroupUniqueHashLabelKey] != ""
	return pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == identity.FormatIndex(0) && (group || subGroup)
}

// addExclusiveAffinity keeps the pod in one place with the pods that have the same value of the label, and away from those with
// another one. Terms that are there already are not added again.
func addExclusiveAffinity(pod *corev1.Pod, topologyKey, label string) {
	own := metav1.LabelSelectorRequirement{Key: label, Operator: metav1.LabelSelectorOpIn, Values: []string{pod.Labels[label]}}
	some := metav1.LabelSelectorRequirement{Key: label, Operator: metav1.LabelSelectorOpExists}
	other := metav1.LabelSelectorRequirement{Key: label, Operator: metav1.LabelSelectorOpNotIn, Values: own.Values}

	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	affinity := pod.Spec.Affinity
	if affinity.PodAffinity == nil {
		affinity.PodAffinity = &corev1.PodAffinity{}
	}
	if affinity.PodAntiAffinity == nil {
		affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	addTerm(&affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, topologyKey, own)
	addTerm(&affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, topologyKey, some, other)
}

func addTerm(terms *[]corev1.PodAffinityTerm, topologyKey string, expressions ...metav1.LabelSelectorRequirement) {
	present := slices.ContainsFunc(*terms, func(term corev1.PodAffinityTerm) bool {
		return term.TopologyKey == topologyKey && term.LabelSelector != nil &&
			slices.EqualFunc(term.LabelSelector.MatchExpressions, expressions, equalRequirement)
	})
	if !present {
		*terms = append(*terms, corev1.PodAffinityTerm{
			TopologyKey:   topologyKey,
			LabelSelector: &metav1.LabelSelector{MatchExpressions: expressions},
		})
	}
}

func equalRequirement(a, b metav1.LabelSelectorRequirement) bool {
	return a.Key == b.Key && a.Operator == b.Operator && slices.Equal(a.Values, b.Values)
}

// addVariables puts the group's variables first, so that a user's own variables can refer to them: $(NAME) is expanded from
// variables that come before.
func (m *member) addVariables(pod *corev1.Pod) {
	variables := []corev1.EnvVar{
		{Name: leaderworkersetv1.LeaderAddressEnvVar, Value: identity.LeaderAddress(m.leader, pod.Spec.Subdomain, m.namespace)},
		{Name: leaderworkersetv1.GroupSizeEnvVar, Value: identity.FormatIndex(m.size)},
		{Name: leaderworkersetv1.WorkerIndexEnvVar, Value: identity.FormatIndex(m.worker)},
	}
	for container := range containers(&pod.Spec) {
		prependVariables(container, variables)
	}
}

// prependVariables puts the variables first and takes out others of the same names.
func prependVariables(container *corev1.Container, variables []corev1.EnvVar) {
	env := slices.Clone(variables)
	for _, variable := range container.Env {
		if !slices.ContainsFunc(variables, func(v corev1.EnvVar) bool { return v.Name == variable.Name }) {
			env = append(env, variable)
		}
	}
	container.Env = env
}

// containers yields the pod's containers and init containers, to be changed in place.
func containers(spec *corev1.PodSpec) func(yield func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}
