// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// Scheduling defines how the pods of a set are scheduled together. The operator schedules groups, or the leader and the
// workers of each group. The fields below schedule the whole set as one unit. The operator can't do that, and rejects
// them.
//
// The types have no CEL rules: OLM v1 lets no later release change one. The webhook validates them.
type Scheduling struct {
	// schedulingPolicy would schedule the whole set as one unit. The operator can't do that, and rejects it.
	//
	// +optional
	SchedulingPolicy *SchedulingPolicy `json:"schedulingPolicy,omitempty"`

	// schedulingConstraints would place the whole set. The operator can't do that, and rejects it.
	//
	// +optional
	SchedulingConstraints *SchedulingConstraints `json:"schedulingConstraints,omitempty"`

	// disruptionMode would preempt the whole set as one unit. The operator can't do that, and rejects it.
	//
	// +optional
	DisruptionMode *DisruptionMode `json:"disruptionMode,omitempty"`

	// resourceClaims would be shared by all groups. The operator can't do that, and rejects them.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	ResourceClaims []SchedulingResourceClaim `json:"resourceClaims,omitempty"`

	// replica defines how the pods of each group are scheduled together. Without it, each group is one gang.
	//
	// +optional
	Replica *ReplicaScheduling `json:"replica,omitempty"`
}

// ReplicaScheduling defines how the pods of each group are scheduled together: all of them, or, with leader and worker,
// the leader and the workers on their own. The fields for all pods exclude leader and worker.
type ReplicaScheduling struct {
	// schedulingPolicy defines whether the group is scheduled as a whole or pod by pod. The default is a gang.
	//
	// +optional
	SchedulingPolicy *SchedulingPolicy `json:"schedulingPolicy,omitempty"`

	// schedulingConstraints defines where the pods of the group run.
	//
	// +optional
	SchedulingConstraints *SchedulingConstraints `json:"schedulingConstraints,omitempty"`

	// disruptionMode defines what preemption takes: single pods, the default, or the whole group.
	//
	// +optional
	DisruptionMode *DisruptionMode `json:"disruptionMode,omitempty"`

	// resourceClaims are claims that the pods of the group share. The pod templates name each of them as well.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	ResourceClaims []SchedulingResourceClaim `json:"resourceClaims,omitempty"`

	// leader defines how the leader of a group is scheduled.
	//
	// +optional
	Leader *RoleScheduling `json:"leader,omitempty"`

	// worker defines how the workers of a group are scheduled together.
	//
	// +optional
	Worker *RoleScheduling `json:"worker,omitempty"`
}

// RoleScheduling defines how the leader, or the workers, of each group are scheduled.
type RoleScheduling struct {
	// schedulingPolicy defines whether the pods are scheduled as a whole or one by one. The default is one by one.
	//
	// +optional
	SchedulingPolicy *SchedulingPolicy `json:"schedulingPolicy,omitempty"`

	// schedulingConstraints defines where the pods run.
	//
	// +optional
	SchedulingConstraints *SchedulingConstraints `json:"schedulingConstraints,omitempty"`

	// disruptionMode defines what preemption takes: single pods, the default, or all of them.
	//
	// +optional
	DisruptionMode *DisruptionMode `json:"disruptionMode,omitempty"`

	// resourceClaims are claims that the pods share. The pod template names each of them as well.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	ResourceClaims []SchedulingResourceClaim `json:"resourceClaims,omitempty"`
}

// SchedulingPolicy defines whether pods are scheduled as a whole. Exactly one field is set.
type SchedulingPolicy struct {
	// basic schedules pods one by one.
	//
	// +optional
	Basic *BasicSchedulingPolicy `json:"basic,omitempty"`

	// gang schedules all pods at the same time, or none.
	//
	// +optional
	Gang *GangSchedulingPolicy `json:"gang,omitempty"`
}

// BasicSchedulingPolicy schedules pods one by one. It has no fields.
type BasicSchedulingPolicy struct{}

// GangSchedulingPolicy schedules all pods at the same time, or none.
type GangSchedulingPolicy struct {
	// minCount is the number of pods. It must be the number of all pods, which is the default: size for a group, 1 for a
	// leader, and size - 1 for workers.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinCount *int32 `json:"minCount,omitempty"`

	// minGroupCount would count groups of pods. A gang counts pods here: the operator rejects it.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinGroupCount *int32 `json:"minGroupCount,omitempty"`
}

// SchedulingConstraints defines where pods run that are scheduled together.
type SchedulingConstraints struct {
	// topology keeps the pods in one topology domain. It has at most one item.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1
	Topology []TopologyConstraint `json:"topology,omitempty"`
}

// TopologyConstraint keeps pods on nodes that have the same value of a label.
type TopologyConstraint struct {
	// key is the name of the node label, such as topology.kubernetes.io/zone.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
}

// DisruptionMode defines what preemption takes. Exactly one field is set.
type DisruptionMode struct {
	// single lets preemption take single pods.
	//
	// +optional
	Single *SingleDisruptionMode `json:"single,omitempty"`

	// all lets preemption take all pods, or none.
	//
	// +optional
	All *AllDisruptionMode `json:"all,omitempty"`
}

// SingleDisruptionMode lets preemption take single pods. It has no fields.
type SingleDisruptionMode struct{}

// AllDisruptionMode lets preemption take all pods, or none. It has no fields.
type AllDisruptionMode struct{}

// SchedulingResourceClaim is a claim for devices that pods share which are scheduled together. Exactly one of
// resourceClaimName and resourceClaimTemplateName is set. A pod template that names the claim has the same item in its
// spec.resourceClaims.
type SchedulingResourceClaim struct {
	// name is the name of the claim in the pods, a DNS label.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// resourceClaimName is the name of a ResourceClaim. All groups share it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ResourceClaimName *string `json:"resourceClaimName,omitempty"`

	// resourceClaimTemplateName is the name of a ResourceClaimTemplate. Each incarnation of a group gets a claim of its
	// own.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ResourceClaimTemplateName *string `json:"resourceClaimTemplateName,omitempty"`
}
