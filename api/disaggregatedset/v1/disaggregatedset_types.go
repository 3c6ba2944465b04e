// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// The names of LeaderWorkerSets begin with the name of the set, and are DNS-1035 labels. Names never change, so the
// rule applies to the creation only. The webhook checks the length: it depends on all roles.
//
// Do not reword, split or merge a rule that was released. OLM v1 compares the CRDs before an upgrade, and takes any
// change of a rule for an error.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name: must be a DNS-1035 label: lower case letters, digits and '-', starting with a letter and ending with a letter or digit"

// DisaggregatedSet runs the roles of one model as a unit, such as prefill and decode. Each role is a LeaderWorkerSet. A
// new revision is rolled out in all roles in step.
//
// +kubebuilder:object:root=true
// +operator-sdk:csv:customresourcedefinitions:displayName="DisaggregatedSet",resources={{LeaderWorkerSet,v1,""},{DisaggregatedSetRoleScaler,v1,""}}
// +kubebuilder:resource:shortName=dset,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Roles",type=string,JSONPath=`.status.summary`,description="Ready groups of the desired ones, for each role"
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`,description="Whether all groups of all roles are ready and up to date"
// +kubebuilder:printcolumn:name="Updating",type=string,JSONPath=`.status.conditions[?(@.type=="UpdateInProgress")].status`,description="Whether groups of earlier revisions have to be replaced"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].message`,priority=1,description="How many groups of each role are ready"
type DisaggregatedSet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state: the roles, and how many copies of them there are.
	//
	// +required
	Spec DisaggregatedSetSpec `json:"spec"`

	// status is the state that the operator last observed. Only the operator writes it.
	//
	// The default is what clients read before the first status. An observedGeneration of -1 says that the operator hasn't
	// observed the set yet: tools that know kstatus wait then.
	//
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status DisaggregatedSetStatus `json:"status,omitempty"`
}

// DisaggregatedSetList is a list of DisaggregatedSets.
//
// +kubebuilder:object:root=true
type DisaggregatedSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items is the list of DisaggregatedSets.
	Items []DisaggregatedSet `json:"items"`
}

// DisaggregatedSetSpec is the desired state of a DisaggregatedSet.
//
// +kubebuilder:validation:XValidation:rule="self.roles.all(r, r.?scaling.?mode.orValue('Static') == 'External' || r.spec.?replicas.orValue(1) == 0) || self.roles.all(r, r.?scaling.?mode.orValue('Static') == 'External' || r.spec.?replicas.orValue(1) > 0)",message="replicas must be 0 in all roles, or greater than 0 in all roles, but for those with scaling.mode External",fieldPath=.roles
// +kubebuilder:validation:XValidation:rule="self.?slices.orValue(1) == 1 || self.roles.all(r, r.?scaling.?mode.orValue('Static') != 'External')",message="must be 1 if a role has scaling.mode External",fieldPath=.slices
type DisaggregatedSetSpec struct {
	// roles are the parts of the model, such as prefill and decode. There are 2 to 10. The order means nothing.
	//
	// A change of a role's leaderWorkerTemplate, networkConfig or startupPolicy starts a rolling update of all roles. So
	// does a role that is added, removed or renamed. Changes of replicas, scaling, metadata, rolloutStrategy,
	// restartPolicy, maxGroupRestarts and persistentVolumeClaimRetentionPolicy take effect at once.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Roles"
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=10
	Roles []DisaggregatedRoleSpec `json:"roles"`

	// slices is the number of independent copies of all roles, from 1 to 100. The default is 1. A change adds or deletes
	// copies and rolls nothing out.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Slices",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Slices *int32 `json:"slices,omitempty"`

	// placementPolicy defines where the pods of a slice run. It takes effect when LeaderWorkerSets are created. A change
	// rolls nothing out.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Placement",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	PlacementPolicy *PlacementPolicy `json:"placementPolicy,omitempty"`
}

// DisaggregatedRoleSpec defines one role.
type DisaggregatedRoleSpec struct {
	// name is the name of the role: a DNS label of 1 to 63 characters.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Name",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:text"}
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// scaling defines where the number of groups comes from.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Scaling",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default={}
	Scaling *RoleScaling `json:"scaling,omitempty"`

	// metadata has labels and annotations for the LeaderWorkerSets of the role.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Metadata",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	Metadata RoleMetadata `json:"metadata,omitempty"`

	// spec is the spec of the role's LeaderWorkerSets. Its partition must be 0: the operator rolls roles out in step. All
	// its fields may change at any time, also those that can't change in a LeaderWorkerSet.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="LeaderWorkerSet"
	// +required
	// +kubebuilder:validation:XValidation:rule="self.rolloutStrategy.?rollingUpdateConfiguration.?partition.orValue(0) == 0",message="must be 0: a DisaggregatedSet rolls out all groups",fieldPath=.rolloutStrategy.rollingUpdateConfiguration.partition
	Spec leaderworkersetv1.LeaderWorkerSetSpec `json:"spec"`
}

// RoleMetadata has labels and annotations for the LeaderWorkerSets of a role.
type RoleMetadata struct {
	// labels are added to the LeaderWorkerSets. Those that the operator sets win.
	//
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the LeaderWorkerSets.
	//
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// RoleScaling defines where the number of groups of a role comes from.
type RoleScaling struct {
	// mode is Static or External. With Static, the default, the number is the role's spec.replicas. With External, it is
	// the spec.replicas of the DisaggregatedSetRoleScaler <set>-<role>, which the operator creates. An autoscaler writes
	// it.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Number of groups comes from",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:Static","urn:alm:descriptor:com.tectonic.ui:select:External","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=Static
	Mode ScalingMode `json:"mode,omitempty"`
}

// ScalingMode defines where the number of groups of a role comes from.
//
// +kubebuilder:validation:Enum=Static;External
type ScalingMode string

const (
	// StaticScaling takes the number of groups from the role.
	StaticScaling ScalingMode = "Static"

	// ExternalScaling takes the number of groups from the role's scaler.
	ExternalScaling ScalingMode = "External"
)

// PlacementPolicy defines where the pods of a slice run.
//
// +kubebuilder:validation:XValidation:rule="self.?type.orValue('None') == 'None' || (has(self.topology) && size(self.topology) > 0)",message="must be set unless type is None",fieldPath=.topology
type PlacementPolicy struct {
	// type is None, ExclusiveSlice or ExclusiveTopology. None, the default, restricts nothing. ExclusiveSlice puts all
	// pods of a slice into one topology domain, and the slices of a set into different ones. ExclusiveTopology also keeps
	// slices of other sets out of that domain.
	//
	// +optional
	// +kubebuilder:default=None
	Type PlacementType `json:"type,omitempty"`

	// topology is the name of a node label, such as that of a rack. Nodes with the same value of that label form a
	// topology domain.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=317
	Topology string `json:"topology,omitempty"`
}

// PlacementType defines where the pods of a slice run.
//
// +kubebuilder:validation:Enum=None;ExclusiveSlice;ExclusiveTopology
type PlacementType string

const (
	// NonePlacement restricts nothing.
	NonePlacement PlacementType = "None"

	// ExclusiveSlicePlacement gives each slice of the set its own topology domain.
	ExclusiveSlicePlacement PlacementType = "ExclusiveSlice"

	// ExclusiveTopologyPlacement gives each slice of all sets of the namespace its own topology domain.
	ExclusiveTopologyPlacement PlacementType = "ExclusiveTopology"
)

// DisaggregatedSetStatus is the state of a DisaggregatedSet that the operator last observed.
type DisaggregatedSetStatus struct {
	// roleStatuses count the groups of each role, in the order of the spec.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Roles"
	// +optional
	// +listType=map
	// +listMapKey=name
	RoleStatuses []RoleStatus `json:"roleStatuses,omitempty"`

	// conditions report the state of the set. Available: every role has all its groups, ready and up to date. Progressing:
	// a role doesn't. UpdateInProgress: groups of earlier revisions have yet to be replaced.
	//
	// Four more exist only while they are True. Degraded: groups have crashed more often than maxGroupRestarts allows.
	// ReplicaFailure: a child object can't be created or changed. Stalled and Reconciling are for tools that know kstatus.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Conditions",xDescriptors={"urn:alm:descriptor:io.kubernetes.conditions"}
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// summary has the ready and the desired groups of each role, such as "prefill 2/2, decode 3/4".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Summary string `json:"summary,omitempty"`

	// updateRevision is the key of the current revision. LeaderWorkerSets and pods of that revision have it in the label
	// disaggregatedset.x-k8s.io/revision.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	UpdateRevision string `json:"updateRevision,omitempty"`

	// observedGeneration is the metadata.generation that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// RoleStatus counts the groups of a role, of all slices and revisions.
type RoleStatus struct {
	// name is the name of the role.
	//
	// +required
	Name string `json:"name"`

	// replicas is the number of groups that exist.
	//
	// +optional
	// +kubebuilder:default=0
	Replicas int32 `json:"replicas"`

	// readyReplicas is the number of groups whose pods are all ready.
	//
	// +optional
	// +kubebuilder:default=0
	ReadyReplicas int32 `json:"readyReplicas"`

	// updatedReplicas is the number of groups of the current revision, ready or not.
	//
	// +optional
	// +kubebuilder:default=0
	UpdatedReplicas int32 `json:"updatedReplicas"`
}
