// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// APIGroup is the API group of the PodGroups of Kubernetes.
const APIGroup = "scheduling.k8s.io"

// Versions of PodGroups. Kubernetes 1.36 serves v1alpha2 and Kubernetes 1.37 v1beta1, both only with the feature gate
// GenericWorkload. The module k8s.io/api has types of one of them. The fields that the operator sets differ in one:
// disruptionMode.
const (
	v1alpha2 = "v1alpha2"
	v1beta1  = "v1beta1"
)

// Versions are the versions of PodGroups that the operator knows, the preferred one first.
func Versions() []string { return []string{v1beta1, v1alpha2} }

// Kind returns the kind of PodGroups at a version.
func Kind(version string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: APIGroup, Version: version, Kind: "PodGroup"}
}

// Resource is the plural of PodGroups.
const Resource = "podgroups"

// Object returns the PodGroup as the API server takes it at a version.
func (g *PodGroup) Object(version string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": g.spec(version)}}
	object.SetGroupVersionKind(Kind(version))
	object.SetName(g.Name)
	object.SetNamespace(g.Namespace)
	object.SetLabels(g.Labels)
	object.SetAnnotations(g.Annotations)
	object.SetOwnerReferences(slices.Clone(g.OwnerReferences))
	return object
}

func (g *PodGroup) spec(version string) map[string]any {
	policy := map[string]any{"basic": map[string]any{}}
	if g.MinCount > 0 {
		policy = map[string]any{"gang": map[string]any{"minCount": int64(g.MinCount)}}
	}
	spec := map[string]any{"schedulingPolicy": policy}
	if g.Unit.Constraints != nil {
		spec["schedulingConstraints"] = g.constraints()
	}
	if claims := g.claims(); len(claims) > 0 {
		spec["resourceClaims"] = claims
	}
	if g.Unit.Disruption != nil {
		spec["disruptionMode"] = g.disruption(version)
	}
	if g.PriorityClassName != "" {
		spec["priorityClassName"] = g.PriorityClassName
	}
	return spec
}

func (g *PodGroup) constraints() map[string]any {
	topology := []any{}
	for _, constraint := range g.Unit.Constraints.Topology {
		topology = append(topology, map[string]any{"key": constraint.Key})
	}
	return map[string]any{"topology": topology}
}

func (g *PodGroup) claims() []any {
	var claims []any
	for _, claim := range g.Unit.Claims {
		fields := map[string]any{"name": claim.Name}
		if claim.ResourceClaimName != nil {
			fields["resourceClaimName"] = *claim.ResourceClaimName
		}
		if claim.ResourceClaimTemplateName != nil {
			fields["resourceClaimTemplateName"] = *claim.ResourceClaimTemplateName
		}
		claims = append(claims, fields)
	}
	return claims
}

// disruption returns the disruption mode. v1alpha2 has words for what later versions have fields for.
func (g *PodGroup) disruption(version string) any {
	all := g.Unit.Disruption.All != nil
	switch {
	case version == v1alpha2 && all:
		return "PodGroup"
	case version == v1alpha2:
		return "Pod"
	case all:
		return map[string]any{"all": map[string]any{}}
	default:
		return map[string]any{"single": map[string]any{}}
	}
}

// gatedFields are the fields of a PodGroup that the API server drops without a word, or refuses, while a feature gate
// is off.
var gatedFields = []struct{ field, gate string }{
	{"schedulingConstraints", "TopologyAwareWorkloadScheduling"},
	{"resourceClaims", "DRAWorkloadResourceClaims"},
	{"disruptionMode", "WorkloadAwarePreemption"},
}

// Dropped returns the fields of a PodGroup that the API server has dropped, and the feature gates that they need.
func Dropped(sent, stored *unstructured.Unstructured) map[string]string {
	dropped := map[string]string{}
	for _, gated := range gatedFields {
		_, was, _ := unstructured.NestedFieldNoCopy(sent.Object, "spec", gated.field)
		_, is, _ := unstructured.NestedFieldNoCopy(stored.Object, "spec", gated.field)
		if was && !is {
			dropped[gated.field] = gated.gate
		}
	}
	return dropped
}

// IsPodGroup reports whether an object is a PodGroup of Kubernetes.
func IsPodGroup(object metav1.Object) bool {
	podGroup, ok := object.(*unstructured.Unstructured)
	return ok && podGroup.GroupVersionKind().GroupKind() == Kind("").GroupKind()
}
