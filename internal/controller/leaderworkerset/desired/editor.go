// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// editor changes a pod and records each change as an operation of a JSON patch (RFC 6902). The operations, applied in
// order to the JSON of the original pod, give the changed pod. A change that the pod has already records no operation.
// No operation repeats a value that the user wrote: the value may have fields that are newer than this operator.
type editor struct {
	pod   *corev1.Pod
	patch []jsonpatch.Operation
}

// add records that the value is set at the path. If the path is that of an item in a list, the value is inserted before
// the item. If the path ends in "/-", the value is appended.
func (e *editor) add(path string, value any) {
	e.patch = append(e.patch, jsonpatch.NewOperation("add", path, value))
}

// remove records the removal of the value at the path.
func (e *editor) remove(path string) {
	e.patch = append(e.patch, jsonpatch.NewOperation("remove", path, nil))
}

// setLabel sets a label of a pod that has other labels.
func (e *editor) setLabel(key, value string) {
	if current, found := e.pod.Labels[key]; found && current == value {
		return
	}
	e.pod.Labels[key] = value
	e.add("/metadata/labels/"+escapePointer.Replace(key), value)
}

// setAnnotation sets an annotation of a pod that has other annotations.
func (e *editor) setAnnotation(key, value string) {
	if current, found := e.pod.Annotations[key]; found && current == value {
		return
	}
	e.pod.Annotations[key] = value
	e.add("/metadata/annotations/"+escapePointer.Replace(key), value)
}

// removeAnnotation removes an annotation of a pod.
func (e *editor) removeAnnotation(key string) {
	if _, found := e.pod.Annotations[key]; found {
		delete(e.pod.Annotations, key)
		e.remove("/metadata/annotations/" + escapePointer.Replace(key))
	}
}

// escapePointer escapes one segment of a JSON pointer (RFC 6901).
var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// setSubdomain sets the pod's subdomain.
func (e *editor) setSubdomain(subdomain string) {
	if e.pod.Spec.Subdomain != subdomain {
		e.pod.Spec.Subdomain = subdomain
		e.add("/spec/subdomain", subdomain)
	}
}

const affinityPath = "/spec/affinity"

// addAffinity requires that the pod runs in a topology domain with a pod that the term selects.
func (e *editor) addAffinity(with corev1.PodAffinityTerm) {
	const path = affinityPath + "/podAffinity"
	together := child(e, path, &child(e, affinityPath, &e.pod.Spec.Affinity).PodAffinity)
	e.addTerm(path, &together.RequiredDuringSchedulingIgnoredDuringExecution, with)
}

// addAntiAffinity requires that the pod runs in a topology domain with no pod that the term selects.
func (e *editor) addAntiAffinity(without corev1.PodAffinityTerm) {
	const path = affinityPath + "/podAntiAffinity"
	apart := child(e, path, &child(e, affinityPath, &e.pod.Spec.Affinity).PodAntiAffinity)
	e.addTerm(path, &apart.RequiredDuringSchedulingIgnoredDuringExecution, without)
}

// addTerm adds a term to the required terms of the pod's affinity or anti-affinity.
func (e *editor) addTerm(path string, terms *[]corev1.PodAffinityTerm, term corev1.PodAffinityTerm) {
	present := slices.ContainsFunc(*terms, func(other corev1.PodAffinityTerm) bool {
		return other.TopologyKey == term.TopologyKey && other.LabelSelector != nil &&
			slices.EqualFunc(other.LabelSelector.MatchExpressions, term.LabelSelector.MatchExpressions, equalRequirement)
	})
	if !present {
		appendTo(e, path+"/requiredDuringSchedulingIgnoredDuringExecution", terms, term)
	}
}

func equalRequirement(a, b metav1.LabelSelectorRequirement) bool {
	return a.Key == b.Key && a.Operator == b.Operator && slices.Equal(a.Values, b.Values)
}

// addSchedulingGate adds a gate after those that the pod has.
func (e *editor) addSchedulingGate(name string) {
	gate := corev1.PodSchedulingGate{Name: name}
	if !slices.Contains(e.pod.Spec.SchedulingGates, gate) {
		appendTo(e, "/spec/schedulingGates", &e.pod.Spec.SchedulingGates, gate)
	}
}

// prependVariables puts the variables first in one of the pod's containers, and removes others of the same names.
func (e *editor) prependVariables(container *corev1.Container, variables []corev1.EnvVar) {
	path, rest := e.envPath(container), container.Env
	switch n := len(variables); {
	case len(rest) >= n && slices.Equal(rest[:n], variables):
		rest = rest[n:]
	case len(rest) == 0:
		e.add(path, variables)
	default:
		for _, variable := range slices.Backward(variables) {
			e.add(path+"/0", variable)
		}
	}
	env := slices.Clone(variables)
	for _, variable := range rest {
		if slices.ContainsFunc(variables, func(v corev1.EnvVar) bool { return v.Name == variable.Name }) {
			e.remove(path + "/" + strconv.Itoa(len(env)))
		} else {
			env = append(env, variable)
		}
	}
	container.Env = env
}

// envPath returns the path to the variables of a container, which is an element of one of the pod's two lists.
func (e *editor) envPath(container *corev1.Container) string {
	list, i := "/spec/containers/", elementIndex(e.pod.Spec.Containers, container)
	if i < 0 {
		list, i = "/spec/initContainers/", elementIndex(e.pod.Spec.InitContainers, container)
	}
	return list + strconv.Itoa(i) + "/env"
}

func elementIndex[T any](list []T, element *T) int {
	for i := range list {
		if &list[i] == element {
			return i
		}
	}
	return -1
}

// child returns the object that a field points to. It adds an empty object if there is none.
func child[T any](e *editor, path string, field **T) *T {
	if *field == nil {
		*field = new(T)
		e.add(path, struct{}{}) // Not the object itself: later operations fill it in.
	}
	return *field
}

// appendTo adds an item to the end of a list, which may not be there yet.
func appendTo[T any](e *editor, path string, list *[]T, item T) {
	if len(*list) == 0 {
		e.add(path, []T{item})
	} else {
		e.add(path+"/-", item)
	}
	*list = append(*list, item)
}
