// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1 contains version v1 of the API group disaggregatedset.x-k8s.io. It has the DisaggregatedSet and
// DisaggregatedSetRoleScaler types, and the labels, annotations, environment variables, condition types and event
// reasons that users and other controllers rely on.
//
// +kubebuilder:object:generate=true
// +groupName=disaggregatedset.x-k8s.io
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of this package's types.
	GroupVersion = schema.GroupVersion{Group: "disaggregatedset.x-k8s.io", Version: "v1"}

	// SchemeBuilder collects the functions that add this package's types to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds this package's types to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &DisaggregatedSet{}, &DisaggregatedSetList{},
		&DisaggregatedSetRoleScaler{}, &DisaggregatedSetRoleScalerList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
