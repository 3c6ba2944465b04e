// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// LeaderWorkerSet runs a number of equal groups of pods. Each group is one leader pod and its worker pods; it is created, scaled,
// updated, placed and restarted as one.
//
// A StatefulSet's pods carry the label controller-revision-hash: the name of the StatefulSet, a dash and up to 10 characters, 63 at
// most. The leader StatefulSet is called <name>, those of the workers <name>-<group index>, hence the limit on the name:
// 63-11 = 52 characters without workers; with them 52-1 less the digits of the highest group index, surge groups included.
//
// +kubebuilder:object:root=true
// +operator-sdk:csv:customresourcedefinitions:displayName="LeaderWorkerSet",resources={{StatefulSet,v1,""},{Pod,v1,""},{Service,v1,""},{ControllerRevision,v1,""},{PersistentVolumeClaim,v1,""}}
// +kubebuilder:resource:shortName=lws
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.hpaPodSelector
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readyReplicas`,description="Groups whose pods are all ready"
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.spec.replicas`,description="Groups asked for"
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=`.status.updatedReplicas`,description="Groups made from the current templates"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name: must be a DNS-1035 label: lower case letters, digits and '-', starting with a letter and ending with a letter or digit"
// +kubebuilder:validation:XValidation:rule=`size(self.metadata.name) <= 52 - (self.spec.leaderWorkerTemplate.size == 1 ? 0 : 1 + size(string([0, self.spec.replicas - 1 + [self.spec.replicas, [self.spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge].map(s, type(s) == int ? int(s) : (int(string(s).replace("%", "")) * self.spec.replicas + 99) / 100)[0]].min()].max())))`,messageExpression=`"metadata.name: must be no more than " + ["52", "51", "50", "49", "48", "47", "46", "45", "44"][self.spec.leaderWorkerTemplate.size == 1 ? 0 : 1 + size(string([0, self.spec.replicas - 1 + [self.spec.replicas, [self.spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge].map(s, type(s) == int ? int(s) : (int(string(s).replace("%", "")) * self.spec.replicas + 99) / 100)[0]].min()].max()))] + " characters with these replicas, size and maxSurge: StatefulSets and pods are named after it"`
type LeaderWorkerSet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wished state: how many groups, of what size, from which templates.
	// +required
	Spec LeaderWorkerSetSpec `json:"spec"`

	// status is what was last observed of the groups. Written by the operator.
	// +optional
	Status LeaderWorkerSetStatus `json:"status,omitempty"`
}

// LeaderWorkerSetList is a list of LeaderWorkerSets.
//
// +kubebuilder:object:root=true
type LeaderWorkerSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the LeaderWorkerSets.
	Items []LeaderWorkerSet `json:"items"`
}

// LeaderWorkerSetSpec is the wished state of a LeaderWorkerSet.
//
// +kubebuilder:validation:XValidation:rule="self.replicas * self.leaderWorkerTemplate.size <= 2147483647",message="replicas × leaderWorkerTemplate.size, the number of pods, must be no more than 2147483647",fieldPath=.replicas
// +kubebuilder:validation:XValidation:rule="self.replicas == 0 || !(self.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable in [dyn(0), dyn('0%')] && self.rolloutStrategy.rollingUpdateConfiguration.maxSurge in [dyn(0), dyn('0%')])",message="must not be 0 when maxSurge is 0 and there are replicas: nothing could ever be updated",fieldPath=.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable
type LeaderWorkerSetSpec struct {
	// replicas is the number of groups. 0 to 1000000, 1 if not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:podCount"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Replicas *int32 `json:"replicas,omitempty"`

	// leaderWorkerTemplate says what a group is made of: its size and the templates of its pods. A change is rolled out group by group.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Group"
	// +required
	LeaderWorkerTemplate LeaderWorkerTemplate `json:"leaderWorkerTemplate"`

	// rolloutStrategy says how groups are replaced when leaderWorkerTemplate or networkConfig change.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Rollout"
	// +optional
	// +kubebuilder:default={}
	RolloutStrategy RolloutStrategy `json:"rolloutStrategy,omitempty"`

	// startupPolicy says when the workers of a group are created: with LeaderCreated, the default, as soon as the leader pod exists;
	// with LeaderReady once the leader pod is ready.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Create workers once",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:LeaderCreated","urn:alm:descriptor:com.tectonic.ui:select:LeaderReady"}
	// +optional
	// +kubebuilder:default=LeaderCreated
	StartupPolicy StartupPolicyType `json:"startupPolicy,omitempty"`

	// networkConfig says under which names the pods of a group find each other. A change is rolled out group by group.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Network"
	// +optional
	// +kubebuilder:default={}
	NetworkConfig *NetworkConfig `json:"networkConfig,omitempty"`

	// revisionHistoryLimit is how many revisions that no group uses are kept, to go back to: ControllerRevisions, each with the
	// leaderWorkerTemplate and networkConfig of a time. 10 if not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Revisions kept",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
}

// LeaderWorkerTemplate is what a group is made of.
//
// +kubebuilder:validation:XValidation:rule="!has(self.subGroupPolicy) || self.subGroupPolicy.subGroupSize <= self.size",message="must be no more than size",fieldPath=.subGroupPolicy.subGroupSize
// +kubebuilder:validation:XValidation:rule="!has(self.subGroupPolicy) || self.subGroupPolicy.subGroupSize < 1 || (self.size - 1) % self.subGroupPolicy.subGroupSize == 0 || (self.subGroupPolicy.subGroupPolicyType == 'LeaderWorker' && self.size % self.subGroupPolicy.subGroupSize == 0)",message="size - 1 must be divisible by it, or, with subGroupPolicyType LeaderWorker, size",fieldPath=.subGroupPolicy.subGroupSize
// +kubebuilder:validation:XValidation:rule="has(self.subGroupPolicy) == has(oldSelf.subGroupPolicy) && (!has(self.subGroupPolicy) || self.subGroupPolicy.subGroupSize == oldSelf.subGroupPolicy.subGroupSize)",message="subGroupSize can't be changed, added or removed",fieldPath=.subGroupPolicy
// +kubebuilder:validation:XValidation:rule="has(self.volumeClaimTemplates) == has(oldSelf.volumeClaimTemplates) && (!has(self.volumeClaimTemplates) || self.volumeClaimTemplates == oldSelf.volumeClaimTemplates)",message="field is immutable",fieldPath=.volumeClaimTemplates
type LeaderWorkerTemplate struct {
	// leaderTemplate is the template of leader pods. The workerTemplate if not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Leader template"
	// +optional
	// +kubebuilder:validation:XValidation:rule="has(self.spec) && size(self.spec.containers) > 0",message="must have at least one container",fieldPath=.spec.containers
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.restartPolicy) || self.spec.restartPolicy == 'Always'",message="must be Always: pods of StatefulSets are restarted",fieldPath=.spec.restartPolicy
	LeaderTemplate *corev1.PodTemplateSpec `json:"leaderTemplate,omitempty"`

	// workerTemplate is the template of worker pods, and of leader pods if there is no leaderTemplate.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Worker template"
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.spec) && size(self.spec.containers) > 0",message="must have at least one container",fieldPath=.spec.containers
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.restartPolicy) || self.spec.restartPolicy == 'Always'",message="must be Always: pods of StatefulSets are restarted",fieldPath=.spec.restartPolicy
	WorkerTemplate corev1.PodTemplateSpec `json:"workerTemplate"`

	// size is the number of pods in a group, the leader included. At least 1, 1 if not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Pods in a group",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Size *int32 `json:"size,omitempty"`

	// restartPolicy says what happens to a group when one of its pods fails, is deleted or evicted, or has a container restart.
	// RecreateGroupOnPodRestart, the default, recreates the whole group; RecreateGroupAfterStart does so only once all pods of the group have
	// been started; None leaves it to the pods. Default is an old name of None.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="When a pod fails",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:RecreateGroupOnPodRestart","urn:alm:descriptor:com.tectonic.ui:select:RecreateGroupAfterStart","urn:alm:descriptor:com.tectonic.ui:select:None"}
	// +optional
	// +kubebuilder:default=RecreateGroupOnPodRestart
	RestartPolicy RestartPolicyType `json:"restartPolicy,omitempty"`

	// maxGroupRestarts is how often in a row a group is recreated because it crashed: a container of it restarted, or a pod failed. After
	// that its pods are left as they are, and the condition Failed names the group, until its leader pod is deleted by hand, this is raised,
	// or a rollout replaces the group. A group that held out for 10 minutes starts over. Unlimited if not set. The delay before a group is
	// recreated grows from the second time on.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Restarts of a group",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxGroupRestarts *int32 `json:"maxGroupRestarts,omitempty"`

	// subGroupPolicy divides groups into subgroups of equal size, which can be placed exclusively and are TPU slices of their own.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Subgroups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	SubGroupPolicy *SubGroupPolicy `json:"subGroupPolicy,omitempty"`

	// volumeClaimTemplates are claims that every pod gets one each of, named <template>-<pod>, as in a StatefulSet. Immutable.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Volume claims of each pod",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	VolumeClaimTemplates []corev1.PersistentVolumeClaim `json:"volumeClaimTemplates,omitempty"`

	// persistentVolumeClaimRetentionPolicy says what becomes of the claims when the LeaderWorkerSet is deleted or scaled down, as in a
	// StatefulSet: they are retained if not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Retention of claims",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.whenDeleted) || self.whenDeleted in ['Retain', 'Delete']",message="must be Retain or Delete",fieldPath=.whenDeleted
	// +kubebuilder:validation:XValidation:rule="!has(self.whenScaled) || self.whenScaled in ['Retain', 'Delete']",message="must be Retain or Delete",fieldPath=.whenScaled
	PersistentVolumeClaimRetentionPolicy *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy `json:"persistentVolumeClaimRetentionPolicy,omitempty"`
}

// RestartPolicyType says what a failed pod means for its group.
//
// +kubebuilder:validation:Enum=RecreateGroupOnPodRestart;RecreateGroupAfterStart;None;Default
type RestartPolicyType string

const (
	// RecreateGroupOnPodRestart recreates the group whenever one of its pods is deleted, evicted, Failed or has a container restart.
	RecreateGroupOnPodRestart RestartPolicyType = "RecreateGroupOnPodRestart"

	// RecreateGroupAfterStart is RecreateGroupOnPodRestart from the moment on when all pods of the group were running.
	RecreateGroupAfterStart RestartPolicyType = "RecreateGroupAfterStart"

	// NoneRestartPolicy leaves failed pods to the StatefulSets and the kubelet.
	NoneRestartPolicy RestartPolicyType = "None"

	// DeprecatedDefaultRestartPolicy is an old name of None, which admission replaces it by.
	DeprecatedDefaultRestartPolicy RestartPolicyType = "Default"
)

// SubGroupPolicy divides a group into subgroups.
type SubGroupPolicy struct {
	// subGroupPolicyType says whether the leader belongs to a subgroup. With LeaderWorker, the default, it is in the first one, as an extra
	// member if size - 1 is divisible by subGroupSize and size is not; with LeaderExcluded it is in none.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Leader in a subgroup",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:LeaderWorker","urn:alm:descriptor:com.tectonic.ui:select:LeaderExcluded","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=LeaderWorker
	Type SubGroupPolicyType `json:"subGroupPolicyType,omitempty"`

	// subGroupSize is the number of pods in a subgroup, 1 to size; size or size - 1 must be divisible by it. It can't be changed, added or removed.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Pods in a subgroup",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +required
	// +kubebuilder:validation:Minimum=1
	SubGroupSize *int32 `json:"subGroupSize,omitempty"`
}

// SubGroupPolicyType says whether the leader belongs to a subgroup.
//
// +kubebuilder:validation:Enum=LeaderWorker;LeaderExcluded
type SubGroupPolicyType string

const (
	// SubGroupPolicyTypeLeaderWorker puts the leader into the first subgroup.
	SubGroupPolicyTypeLeaderWorker SubGroupPolicyType = "LeaderWorker"

	// SubGroupPolicyTypeLeaderExcluded puts the leader into no subgroup.
	SubGroupPolicyTypeLeaderExcluded SubGroupPolicyType = "LeaderExcluded"
)

// RolloutStrategy says how groups are replaced by groups of a new revision.
type RolloutStrategy struct {
	// type of the rollout. RollingUpdate is the only one.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Rollout type",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:RollingUpdate","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=RollingUpdate
	Type RolloutStrategyType `json:"type,omitempty"`

	// rollingUpdateConfiguration holds the bounds of a rolling update.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Rolling update"
	// +optional
	// +kubebuilder:default={}
	RollingUpdateConfiguration *RollingUpdateConfiguration `json:"rollingUpdateConfiguration,omitempty"`
}

// RolloutStrategyType is a way to replace groups.
//
// +kubebuilder:validation:Enum=RollingUpdate
type RolloutStrategyType string

// RollingUpdateStrategyType replaces groups a few at a time, highest index first.
const RollingUpdateStrategyType RolloutStrategyType = "RollingUpdate"

// RollingUpdateConfiguration holds the bounds of a rolling update.
type RollingUpdateConfiguration struct {
	// partition protects the groups with a lower index: they keep their revision. 0 to update all, the default. It may exceed replicas.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Partition",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	Partition *int32 `json:"partition,omitempty"`

	// maxUnavailable is how many groups may be unavailable because of the rollout: a number, or a percentage of replicas, rounded down.
	// Percentages are 100% at most; one that comes to no group counts as one group if maxSurge is 0, too. 1 if not set. It may not be 0
	// together with maxSurge unless replicas is 0.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Groups that may be unavailable",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:text"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^([0-9]|[1-9][0-9]|100)%$')",message="must be a number, 0 or greater, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// maxSurge is how many groups beyond replicas may exist during the rollout: a number, or a percentage of replicas, rounded up.
	// More than replicas counts as replicas. 0 if not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Extra groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:text"}
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^[0-9]{1,4}%$')",message="must be a number, 0 or greater, or a percentage from 0% to 9999%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// StartupPolicyType says when the workers of a group are created.
//
// +kubebuilder:validation:Enum=LeaderCreated;LeaderReady
type StartupPolicyType string

const (
	// LeaderCreatedStartupPolicy creates workers as soon as the leader pod exists.
	LeaderCreatedStartupPolicy StartupPolicyType = "LeaderCreated"

	// LeaderReadyStartupPolicy creates workers once the leader pod is ready.
	LeaderReadyStartupPolicy StartupPolicyType = "LeaderReady"
)

// NetworkConfig says under which names the pods of a group find each other.
type NetworkConfig struct {
	// subdomainPolicy says which headless Services there are. With Shared, the default, one for all groups, called <name>; with
	// UniquePerReplica one per group, called <name>-<group index>. Pods are reached as <pod>.<service>.<namespace>.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Headless Services",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:Shared","urn:alm:descriptor:com.tectonic.ui:select:UniquePerReplica"}
	// +optional
	// +kubebuilder:default=Shared
	SubdomainPolicy *SubdomainPolicy `json:"subdomainPolicy,omitempty"`
}

// SubdomainPolicy says which headless Services a LeaderWorkerSet has.
//
// +kubebuilder:validation:Enum=Shared;UniquePerReplica
type SubdomainPolicy string

const (
	// SubdomainShared is one headless Service for all groups.
	SubdomainShared SubdomainPolicy = "Shared"

	// SubdomainUniquePerReplica is one headless Service for each group.
	SubdomainUniquePerReplica SubdomainPolicy = "UniquePerReplica"
)

// LeaderWorkerSetStatus is what was last observed of a LeaderWorkerSet.
type LeaderWorkerSetStatus struct {
	// conditions tell where the set is. Available: all groups are ready. Progressing: they are not. UpdateInProgress: groups of earlier
	// revisions have yet to be replaced. Only while it lasts, Failed: groups have crashed more often than maxGroupRestarts allows; and
	// ReplicaFailure: a child object could not be written.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Conditions",xDescriptors={"urn:alm:descriptor:io.kubernetes.conditions"}
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// replicas is the number of leader pods that exist, those of surge groups included.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:podCount"}
	// +optional
	// +kubebuilder:default=0
	Replicas int32 `json:"replicas"`

	// readyReplicas is the number of groups whose pods all are ready.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Ready groups"
	// +optional
	// +kubebuilder:default=0
	ReadyReplicas int32 `json:"readyReplicas"`

	// updatedReplicas is the number of groups made from the current templates, ready or not.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Up-to-date groups"
	// +optional
	// +kubebuilder:default=0
	UpdatedReplicas int32 `json:"updatedReplicas"`

	// unreadyGroups are groups that aren't ready and why, those with the lowest indices, 10 at most.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Groups that are not ready"
	// +optional
	// +listType=map
	// +listMapKey=index
	// +kubebuilder:validation:MaxItems=10
	UnreadyGroups []UnreadyGroup `json:"unreadyGroups,omitempty"`

	// hpaPodSelector selects the leader pods, as a string: autoscalers read the pods of the scale subresource by it.
	//
	// +optional
	HPAPodSelector string `json:"hpaPodSelector,omitempty"`

	// observedGeneration is the metadata.generation that this status is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// MaxUnreadyGroups is how many groups status.unreadyGroups lists.
const MaxUnreadyGroups = 10

// UnreadyGroup tells why a group isn't ready.
type UnreadyGroup struct {
	// index is the group's index.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	Index int32 `json:"index"`

	// reason is why the group isn't ready, in one word.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason UnreadyReason `json:"reason"`

	// message is the reason for people.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// since is when that reason began to hold.
	//
	// +required
	Since metav1.Time `json:"since"`

	// restarts is how often in a row the group was recreated because it crashed.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts,omitempty"`
}

// UnreadyReason is why a group isn't ready. More may come.
type UnreadyReason string

const (
	// UnreadyMissing means that the group has no leader pod yet.
	UnreadyMissing UnreadyReason = "Missing"

	// UnreadyTerminating means that the group goes away, to be created again or for good.
	UnreadyTerminating UnreadyReason = "Terminating"

	// UnreadyFailed means that the group crashed more often than maxGroupRestarts allows.
	UnreadyFailed UnreadyReason = "Failed"

	// UnreadyCrashed means that the group crashed and waits to be recreated.
	UnreadyCrashed UnreadyReason = "Crashed"

	// UnreadyBlocked means that an object of the group can't be created.
	UnreadyBlocked UnreadyReason = "Blocked"

	// UnreadyPreviousGroup means that the leader pod isn't scheduled before the pods of the group's previous life are gone.
	UnreadyPreviousGroup UnreadyReason = "PreviousGroup"

	// UnreadyUnschedulable means that no node can take the leader pod.
	UnreadyUnschedulable UnreadyReason = "Unschedulable"

	// UnreadyLeader means that the leader pod isn't ready.
	UnreadyLeader UnreadyReason = "LeaderNotReady"

	// UnreadyWorkers means that not all workers are there and ready.
	UnreadyWorkers UnreadyReason = "WorkersNotReady"
)

// Condition types of a LeaderWorkerSet. Available, Progressing and UpdateInProgress are always there after the first pass, and exactly
// one of Available and Progressing is True.
const (
	// ConditionAvailable is True when all groups are ready.
	ConditionAvailable = "Available"

	// ConditionProgressing is True while groups are missing or not ready.
	ConditionProgressing = "Progressing"

	// ConditionUpdateInProgress is True while groups of earlier revisions have to be replaced.
	ConditionUpdateInProgress = "UpdateInProgress"

	// ConditionFailed is True while groups have crashed more often than maxGroupRestarts allows: it names them and the last error. It is
	// there only as long as that lasts.
	ConditionFailed = "Failed"

	// ConditionReplicaFailure is True while a child object can't be created or changed, with the API server's message. It is there
	// only as long as that lasts.
	ConditionReplicaFailure = "ReplicaFailure"
)
