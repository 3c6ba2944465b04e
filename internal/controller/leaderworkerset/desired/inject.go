// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// Inject completes a pod of a group that its StatefulSet creates. It adds what depends on the pod's ordinal: labels
// that say where the pod belongs, the variables by which its processes find each other, its subdomain, and the affinity
// of its placement.
//
// Inject changes the pod and returns the operations of a JSON patch that changes the pod's JSON in the same way. For a
// pod that is injected already, it returns none. If the pod's name, labels or annotations don't say where the pod
// belongs, or its group is too large for the variables of TPUs, it returns an error and doesn't change the pod.
func Inject(pod *corev1.Pod) ([]jsonpatch.Operation, error) {
	m, err := memberOf(pod)
	if err != nil {
		return nil, err
	}
	if err := m.checkTPUs(pod); err != nil {
		return nil, err
	}
	e := &editor{pod: pod}
	m.setLabels(e)
	unique := leaderworkersetv1.SubdomainUniquePerReplica
	if pod.Annotations[leaderworkersetv1.SubdomainPolicyAnnotationKey] == string(unique) {
		e.setSubdomain(identity.Service(m.set, m.group, unique))
	}
	m.addAffinity(e)
	m.addTPUVariables(e)
	m.addVariables(e)
	return e.patch, nil
}

// AddSchedulingGate adds a gate to the pod, and returns the operations of a JSON patch that does the same.
func AddSchedulingGate(pod *corev1.Pod, name string) []jsonpatch.Operation {
	e := &editor{pod: pod}
	e.addSchedulingGate(name)
	return e.patch
}

// member says which pod of which group of which set a pod is. The leader has worker index 0.
type member struct {
	set, namespace, leader string
	group, worker, size    int32
	subGroup               int32
	inSubGroup             bool
	subGroupSize           int32
	subGroupPolicy         leaderworkersetv1.SubGroupPolicyType
}

// memberOf reads the pod's name, labels and annotations. It returns an error if one of them is missing or malformed.
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
			return nil, malformed("label", leaderworkersetv1.GroupIndexLabelKey, pod.Labels, "a group index")
		}
		m.leader, m.group, m.worker = parent, group, ordinal
	}
	if m.size, ok = identity.ParseIndex(pod.Annotations[leaderworkersetv1.SizeAnnotationKey]); !ok || m.size < 1 {
		return nil, malformed("annotation", leaderworkersetv1.SizeAnnotationKey, pod.Annotations, "the size of a group")
	}
	if size, ok := identity.ParseIndex(pod.Annotations[leaderworkersetv1.SubGroupSizeAnnotationKey]); ok {
		policy := pod.Annotations[leaderworkersetv1.SubGroupPolicyTypeAnnotationKey]
		m.subGroupSize, m.subGroupPolicy = size, leaderworkersetv1.SubGroupPolicyType(policy)
		m.subGroup, m.inSubGroup = identity.SubGroupIndex(m.size, size, m.worker, m.subGroupPolicy)
	}
	return m, nil
}

func malformed(kind, key string, values map[string]string, want string) error {
	return fmt.Errorf("%s %s: %q is not %s", kind, key, values[key], want)
}

func (m *member) setLabels(e *editor) {
	e.setLabel(leaderworkersetv1.GroupIndexLabelKey, identity.FormatIndex(m.group))
	e.setLabel(leaderworkersetv1.WorkerIndexLabelKey, identity.FormatIndex(m.worker))
	e.setLabel(leaderworkersetv1.GroupUniqueHashLabelKey, identity.GroupKey(m.namespace, m.leader))
	if m.inSubGroup {
		e.setLabel(leaderworkersetv1.SubGroupIndexLabelKey, identity.FormatIndex(m.subGroup))
		e.setLabel(leaderworkersetv1.SubGroupUniqueHashLabelKey, identity.SubGroupKey(m.leader, m.subGroup))
	}
}

// addAffinity adds the affinity of the pod's placement. With exclusive placement, the workers of a group follow their
// leader by a nodeSelector, so only the leader needs the affinity of the group. No pod comes first in a subgroup, or in
// a group that shares its topology domain with others. So each of these needs the affinity.
func (m *member) addAffinity(e *editor) {
	const group, subGroup = leaderworkersetv1.GroupUniqueHashLabelKey, leaderworkersetv1.SubGroupUniqueHashLabelKey
	if key := e.pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]; key != "" && m.worker == 0 {
		e.addAffinity(m.together(e.pod, key, group))
		e.addAntiAffinity(m.apart(e.pod, key, group))
	}
	if key := e.pod.Annotations[leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey]; key != "" && m.inSubGroup {
		e.addAffinity(m.together(e.pod, key, subGroup))
		e.addAntiAffinity(m.apart(e.pod, key, subGroup))
	}
	if key := e.pod.Annotations[leaderworkersetv1.ShareTopologyAnnotationKey]; key != "" {
		e.addAffinity(m.together(e.pod, key, group))
	}
}

// together selects the pods that have the same value of a label as the pod.
func (m *member) together(pod *corev1.Pod, topologyKey, label string) corev1.PodAffinityTerm {
	return term(topologyKey, metav1.LabelSelectorRequirement{
		Key: label, Operator: metav1.LabelSelectorOpIn, Values: []string{pod.Labels[label]},
	})
}

// apart selects the pods that have another value of a label than the pod: those of the namespace, or of the set.
func (m *member) apart(pod *corev1.Pod, topologyKey, label string) corev1.PodAffinityTerm {
	others := []metav1.LabelSelectorRequirement{
		{Key: label, Operator: metav1.LabelSelectorOpExists},
		{Key: label, Operator: metav1.LabelSelectorOpNotIn, Values: []string{pod.Labels[label]}},
	}
	scope := pod.Annotations[leaderworkersetv1.ExclusiveScopeAnnotationKey]
	if scope == leaderworkersetv1.ExclusiveScopeLeaderWorkerSet {
		others = append(others, metav1.LabelSelectorRequirement{
			Key: leaderworkersetv1.SetNameLabelKey, Operator: metav1.LabelSelectorOpIn, Values: []string{m.set},
		})
	}
	return term(topologyKey, others...)
}

func term(topologyKey string, expressions ...metav1.LabelSelectorRequirement) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{
		TopologyKey: topologyKey, LabelSelector: &metav1.LabelSelector{MatchExpressions: expressions},
	}
}

// HasDomainAffinity reports whether an injected pod is a leader whose affinity binds it to the topology domain of its
// group, or of its subgroup.
func HasDomainAffinity(pod *corev1.Pod) bool {
	group := pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] != "" ||
		pod.Annotations[leaderworkersetv1.ShareTopologyAnnotationKey] != ""
	subGroup := pod.Annotations[leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey] != "" &&
		pod.Labels[leaderworkersetv1.SubGroupUniqueHashLabelKey] != ""
	return pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == identity.FormatIndex(0) && (group || subGroup)
}

// WaitsFor reports whether a new leader isn't scheduled while a pod of its group's previous incarnation exists. It
// waits until each such pod is marked for deletion. With affinity to a topology domain, it waits until they are gone:
// they have the same group key, so the affinity binds the leader to their domain. That domain may be full or cordoned
// by now, and the scheduler doesn't retry once the pods are gone.
func WaitsFor(leader *corev1.Pod, previous metav1.Object) bool {
	return previous.GetDeletionTimestamp() == nil || HasDomainAffinity(leader)
}

// addVariables puts the group's variables first: Kubernetes expands $(NAME) only in the variables that follow NAME, and
// the user's variables may refer to the group's.
func (m *member) addVariables(e *editor) {
	address := identity.LeaderAddress(m.leader, e.pod.Spec.Subdomain, m.namespace)
	variables := []corev1.EnvVar{
		{Name: leaderworkersetv1.LeaderAddressEnvVar, Value: address},
		{Name: leaderworkersetv1.GroupSizeEnvVar, Value: identity.FormatIndex(m.size)},
		{Name: leaderworkersetv1.WorkerIndexEnvVar, Value: identity.FormatIndex(m.worker)},
	}
	for container := range containers(&e.pod.Spec) {
		e.prependVariables(container, variables)
	}
}

// containers yields the pod's init containers and containers. The caller may change them.
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
