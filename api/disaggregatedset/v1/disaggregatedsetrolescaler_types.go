// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DisaggregatedSetRoleScaler is what an autoscaler scales: the number of groups of one role of a DisaggregatedSet. The
// operator creates one for each role with scaling.mode External, named <set>-<role>.
//
// +kubebuilder:object:root=true
// +operator-sdk:csv:customresourcedefinitions:displayName="DisaggregatedSetRoleScaler",resources={{LeaderWorkerSet,v1,""}}
// +kubebuilder:resource:shortName=dsrs,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.spec.replicas`,description="Desired number of groups"
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.replicas`,description="Groups that exist"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DisaggregatedSetRoleScaler struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state. An autoscaler writes it, by the scale subresource.
	//
	// +optional
	// +kubebuilder:default={}
	Spec DisaggregatedSetRoleScalerSpec `json:"spec,omitempty"`

	// status is the state that the operator last observed. Only the operator writes it.
	//
	// +optional
	Status DisaggregatedSetRoleScalerStatus `json:"status,omitempty"`
}

// DisaggregatedSetRoleScalerList is a list of DisaggregatedSetRoleScalers.
//
// +kubebuilder:object:root=true
type DisaggregatedSetRoleScalerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items is the list of scalers.
	Items []DisaggregatedSetRoleScaler `json:"items"`
}

// DisaggregatedSetRoleScalerSpec is the desired state of a DisaggregatedSetRoleScaler.
type DisaggregatedSetRoleScalerSpec struct {
	// replicas is the number of groups of the role, from 0 to 1000000. The default is 0. The API server serves the scale
	// subresource only if the field has a value.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:podCount"}
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Replicas int32 `json:"replicas"`
}

// DisaggregatedSetRoleScalerStatus is the state of a DisaggregatedSetRoleScaler that the operator last observed.
type DisaggregatedSetRoleScalerStatus struct {
	// replicas is the number of groups of the role that exist, of all revisions.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:podCount"}
	// +optional
	Replicas int32 `json:"replicas"`

	// selector is the label selector of the role's leader pods, of all revisions, as a string. Autoscalers find the pods
	// of the scale subresource by it.
	//
	// +optional
	Selector string `json:"selector,omitempty"`

	// observedGeneration is the metadata.generation that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions report the state of the scaler. Ready: it drives a role.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Conditions",xDescriptors={"urn:alm:descriptor:io.kubernetes.conditions"}
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
