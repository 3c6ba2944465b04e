// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The rules for the name of a LeaderWorkerSet.
//
// The first rule: Services have the name of the set, and a Service's name is a DNS-1035 label. Names never change, so
// the rule applies to the creation only.
//
// The second rule: pods of a StatefulSet carry the label controller-revision-hash. Its value is the name of the
// StatefulSet, a dash and up to 10 characters, and at most 63 characters in all. So a StatefulSet's name has at most
// 52. The leader StatefulSet is named <name>. The worker StatefulSets are named <name>-<group index>; the longest is
// that of the highest index, surge groups included. As a program, the second rule is:
//
//	surge   = maxSurge is a number ? maxSurge : ceil(maxSurge percent of replicas)   // 0 if it is neither
//	highest = max(0, replicas - 1 + min(replicas, surge))   // the highest index of a group
//	limit   = 52 - (size == 1 ? 0 : 1 + digits(highest))    // size 1: there are no worker StatefulSets
//	valid   = length of name <= limit, or the update doesn't raise highest and adds no worker StatefulSets
//
// CEL rules of a CRD have no variables, and a marker is one line. So the second rule is a chain: each map computes one
// of these values and names it for the next. The message repeats the chain.
//
// The API server exempts unchanged values from rules, but the whole object changes with each write, and a rule that
// reads oldSelf is never exempt. So each rule of more than one field accepts an update itself if the update doesn't
// change the fields that the rule reads, or doesn't make them worse. Otherwise a set that an older CRD admitted could
// not be edited, reported on or deleted.
//
// Do not reword, split or merge a rule that was released. OLM v1 compares the CRDs before an upgrade, and takes any
// change of a rule for an error. `make verify` does the same with crdify.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name: must be a DNS-1035 label: lower case letters, digits and '-', starting with a letter and ending with a letter or digit"
// +kubebuilder:validation:XValidation:rule=`[self.spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge].map(value, type(value) == int ? int(value) : string(value).matches("^[0-9]+%$") ? (int(string(value).replace("%", "")) * self.spec.replicas + 99) / 100 : 0).map(surge, [0, self.spec.replicas - 1 + [self.spec.replicas, surge].min()].max()).map(highest, self.spec.leaderWorkerTemplate.size == 1 ? 52 : 51 - size(string(highest))).all(limit, size(self.metadata.name) <= limit) || oldSelf.optMap(old, self.spec.replicas <= old.spec.replicas && (self.spec.leaderWorkerTemplate.size == 1 || old.spec.leaderWorkerTemplate.size > 1) && self.spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge == old.spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge).orValue(false)`,optionalOldSelf=true,messageExpression=`"metadata.name: must be no more than " + [self.spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge].map(value, type(value) == int ? int(value) : string(value).matches("^[0-9]+%$") ? (int(string(value).replace("%", "")) * self.spec.replicas + 99) / 100 : 0).map(surge, [0, self.spec.replicas - 1 + [self.spec.replicas, surge].min()].max()).map(highest, self.spec.leaderWorkerTemplate.size == 1 ? 52 : 51 - size(string(highest))).map(limit, ["44", "45", "46", "47", "48", "49", "50", "51", "52"][limit - 44])[0] + " characters with these replicas, size and maxSurge: StatefulSets and pods are named after it"`

// LeaderWorkerSet runs replicas of a group of pods. A group is one leader pod and its worker pods. Each group is
// created, scaled, updated, placed and restarted as one unit.
//
// +kubebuilder:object:root=true
// +operator-sdk:csv:customresourcedefinitions:displayName="LeaderWorkerSet",resources={{StatefulSet,v1,""},{Pod,v1,""},{Service,v1,""},{ControllerRevision,v1,""},{PersistentVolumeClaim,v1,""}}
// +kubebuilder:resource:shortName=lws,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.hpaPodSelector
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readyReplicas`,description="Groups whose pods are all ready"
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.spec.replicas`,description="Desired number of groups"
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=`.status.updatedReplicas`,description="Groups created from the current templates"
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.spec.leaderWorkerTemplate.size`,description="Desired number of pods in a group"
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`,description="Whether all groups are ready"
// +kubebuilder:printcolumn:name="Updating",type=string,JSONPath=`.status.conditions[?(@.type=="UpdateInProgress")].status`,description="Whether groups of earlier revisions have to be replaced"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.updateRevision`,priority=1,description="Key of the current revision"
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.unreadyGroups[0].message`,priority=1,description="Why the first unready group is not ready"
type LeaderWorkerSet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state: the number of groups, their size and the templates of their pods.
	//
	// +required
	Spec LeaderWorkerSetSpec `json:"spec"`

	// status is the state that the operator last observed. Only the operator writes it.
	//
	// The default is what clients read before the first status. An observedGeneration of -1 says that the operator hasn't
	// observed the set yet: tools that know kstatus wait then.
	//
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status LeaderWorkerSetStatus `json:"status,omitempty"`
}

// LeaderWorkerSetList is a list of LeaderWorkerSets.
//
// +kubebuilder:object:root=true
type LeaderWorkerSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items is the list of LeaderWorkerSets.
	Items []LeaderWorkerSet `json:"items"`
}

// LeaderWorkerSetSpec is the desired state of a LeaderWorkerSet.
//
// +kubebuilder:validation:XValidation:rule="self.replicas * self.leaderWorkerTemplate.size <= 2147483647 || oldSelf.optMap(old, self.replicas <= old.replicas && self.leaderWorkerTemplate.size <= old.leaderWorkerTemplate.size).orValue(false)",optionalOldSelf=true,message="replicas × leaderWorkerTemplate.size, the number of pods, must be no more than 2147483647",fieldPath=.replicas
// +kubebuilder:validation:XValidation:rule="self.replicas == 0 || !(self.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable in [dyn(0), dyn('0%')] && self.rolloutStrategy.rollingUpdateConfiguration.maxSurge in [dyn(0), dyn('0%')]) || oldSelf.optMap(old, old.replicas > 0 && old.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable == self.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable && old.rolloutStrategy.rollingUpdateConfiguration.maxSurge == self.rolloutStrategy.rollingUpdateConfiguration.maxSurge).orValue(false)",optionalOldSelf=true,message="must not be 0 when maxSurge is 0 and there are replicas: nothing could ever be updated",fieldPath=.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable
type LeaderWorkerSetSpec struct {
	// replicas is the number of groups, from 0 to 1000000. The default is 1.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:podCount"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Replicas *int32 `json:"replicas,omitempty"`

	// leaderWorkerTemplate defines a group: its size and the templates of its pods. A change starts a rolling update.
	// Changes of restartPolicy, maxGroupRestarts and persistentVolumeClaimRetentionPolicy do not.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Group"
	// +required
	LeaderWorkerTemplate LeaderWorkerTemplate `json:"leaderWorkerTemplate"`

	// rolloutStrategy defines how groups are replaced after a change of leaderWorkerTemplate or networkConfig.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Rollout"
	// +optional
	// +kubebuilder:default={}
	RolloutStrategy RolloutStrategy `json:"rolloutStrategy,omitempty"`

	// startupPolicy defines when the workers of a group are created. LeaderCreated, the default, creates them as soon as
	// the leader pod exists. LeaderReady creates them once the leader pod is ready.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Create workers once",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:LeaderCreated","urn:alm:descriptor:com.tectonic.ui:select:LeaderReady"}
	// +optional
	// +kubebuilder:default=LeaderCreated
	StartupPolicy StartupPolicyType `json:"startupPolicy,omitempty"`

	// networkConfig defines the DNS names by which the pods of a group reach each other. A change starts a rolling update.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Network"
	// +optional
	// +kubebuilder:default={}
	NetworkConfig *NetworkConfig `json:"networkConfig,omitempty"`

	// revisionHistoryLimit is the number of unused revisions that the operator keeps for going back. A revision is a
	// ControllerRevision with an earlier leaderWorkerTemplate and networkConfig. The default is 10; 0 keeps none.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Revisions kept",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// The fields below are here for manifests that were written for other LeaderWorkerSet controllers. They have no
	// default in the schema: a default would appear in sets whose manifests don't have the field. Their schemas have
	// enumerations and no rules: OLM v1 lets a later release widen an enumeration, but not change a rule.

	// groupIdentity defines how groups are named. Ordinal, the default and the only value, names a group by its index.
	//
	// +optional
	GroupIdentity GroupIdentityType `json:"groupIdentity,omitempty"`

	// groupReplacementPolicy defines when the successor of a group is created. PostTermination, the default and the only
	// value, creates it once all pods of the previous group are gone.
	//
	// +optional
	GroupReplacementPolicy GroupReplacementPolicyType `json:"groupReplacementPolicy,omitempty"`

	// podTerminationPolicy is Default or Parallel. Both mean the same here: all pods of a group stop in parallel, so that
	// a group stops within one termination grace period.
	//
	// +optional
	PodTerminationPolicy PodTerminationPolicyType `json:"podTerminationPolicy,omitempty"`

	// scheduling asks for gang scheduling: the pods of a group are scheduled at the same time, or none of them. {} makes
	// each group a gang. The operator has to be configured for that. The field can't be added, changed or removed later.
	//
	// +optional
	Scheduling *Scheduling `json:"scheduling,omitempty"`
}

// GroupIdentityType defines how groups are named.
//
// +kubebuilder:validation:Enum=Ordinal
type GroupIdentityType string

// GroupIdentityOrdinal names groups by their index.
const GroupIdentityOrdinal GroupIdentityType = "Ordinal"

// GroupReplacementPolicyType defines when the successor of a group is created.
//
// +kubebuilder:validation:Enum=PostTermination
type GroupReplacementPolicyType string

// GroupReplacementPostTermination creates the successor of a group once all pods of the group are gone.
const GroupReplacementPostTermination GroupReplacementPolicyType = "PostTermination"

// PodTerminationPolicyType defines in which order the pods of a group stop.
//
// +kubebuilder:validation:Enum=Default;Parallel
type PodTerminationPolicyType string

const (
	// DefaultPodTerminationPolicy stops the pods of a group in parallel.
	DefaultPodTerminationPolicy PodTerminationPolicyType = "Default"

	// ParallelPodTerminationPolicy stops the pods of a group in parallel.
	ParallelPodTerminationPolicy PodTerminationPolicyType = "Parallel"
)

// LeaderWorkerTemplate defines the pods of a group.
//
// +kubebuilder:validation:XValidation:rule="self.?subGroupPolicy.?subGroupSize.orValue(1) <= self.size || oldSelf.optMap(old, old.size <= self.size).orValue(false)",optionalOldSelf=true,message="must be no more than size",fieldPath=.subGroupPolicy.subGroupSize
// +kubebuilder:validation:XValidation:rule="self.?subGroupPolicy.?subGroupSize.optMap(n, n < 1 || (self.size - 1) % n == 0 || (self.subGroupPolicy.subGroupPolicyType == 'LeaderWorker' && self.size % n == 0)).orValue(true) || oldSelf.optMap(old, old.size == self.size && old.?subGroupPolicy.?subGroupPolicyType.orValue('LeaderWorker') == self.subGroupPolicy.subGroupPolicyType).orValue(false)",optionalOldSelf=true,message="size - 1 must be divisible by it, or, with subGroupPolicyType LeaderWorker, size",fieldPath=.subGroupPolicy.subGroupSize
// +kubebuilder:validation:XValidation:rule="self.?subGroupPolicy.?subGroupSize == oldSelf.?subGroupPolicy.?subGroupSize",message="subGroupSize can't be changed, added or removed",fieldPath=.subGroupPolicy
// +kubebuilder:validation:XValidation:rule="size(self.?volumeClaimTemplates.orValue([])) == size(oldSelf.?volumeClaimTemplates.orValue([]))",message="field is immutable",fieldPath=.volumeClaimTemplates
type LeaderWorkerTemplate struct {
	// leaderTemplate is the template of leader pods. If it is not set, leader pods are created from workerTemplate.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Leader template"
	// +optional
	// +kubebuilder:validation:XValidation:rule="size(self.?spec.?containers.orValue([])) > 0 || oldSelf.optMap(old, size(old.?spec.?containers.orValue([])) == 0).orValue(false)",optionalOldSelf=true,message="must have at least one container",fieldPath=.spec.containers
	// +kubebuilder:validation:XValidation:rule="self.?spec.?restartPolicy.orValue('Always') == 'Always' || oldSelf.optMap(old, old.?spec.?restartPolicy.orValue('Always') == self.spec.restartPolicy).orValue(false)",optionalOldSelf=true,message="must be Always: pods of StatefulSets are restarted",fieldPath=.spec.restartPolicy
	LeaderTemplate *corev1.PodTemplateSpec `json:"leaderTemplate,omitempty"`

	// workerTemplate is the template of worker pods. It is also the template of leader pods if leaderTemplate is not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Worker template"
	// +required
	// +kubebuilder:validation:XValidation:rule="size(self.?spec.?containers.orValue([])) > 0 || oldSelf.optMap(old, size(old.?spec.?containers.orValue([])) == 0).orValue(false)",optionalOldSelf=true,message="must have at least one container",fieldPath=.spec.containers
	// +kubebuilder:validation:XValidation:rule="self.?spec.?restartPolicy.orValue('Always') == 'Always' || oldSelf.optMap(old, old.?spec.?restartPolicy.orValue('Always') == self.spec.restartPolicy).orValue(false)",optionalOldSelf=true,message="must be Always: pods of StatefulSets are restarted",fieldPath=.spec.restartPolicy
	WorkerTemplate corev1.PodTemplateSpec `json:"workerTemplate"`

	// size is the number of pods in a group, the leader included. It is at least 1. The default is 1.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Pods in a group",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Size *int32 `json:"size,omitempty"`

	// restartPolicy defines what happens to a group when one of its pods fails, is deleted or evicted, or has a container
	// restart. RecreateGroupOnPodRestart, the default, recreates the whole group. RecreateGroupAfterStart does so only
	// once all pods of the group have been running at the same time. None leaves the pods to their StatefulSets and the
	// kubelet. Default is a deprecated name of None.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="When a pod fails",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:RecreateGroupOnPodRestart","urn:alm:descriptor:com.tectonic.ui:select:RecreateGroupAfterStart","urn:alm:descriptor:com.tectonic.ui:select:None"}
	// +optional
	// +kubebuilder:default=RecreateGroupOnPodRestart
	RestartPolicy RestartPolicyType `json:"restartPolicy,omitempty"`

	// maxGroupRestarts is how often in a row the operator recreates a group that crashes. A group crashes when one of its
	// containers restarts or one of its pods fails. The delay before a recreation grows from the second one on. A group
	// that holds out for 10 minutes after a recreation starts over. The number is unlimited if not set.
	//
	// A group without restarts left keeps its pods, and the condition Degraded names the group. It is recreated when its
	// leader pod is deleted or annotated with leaderworkerset.sigs.k8s.io/recover: "true", this limit is raised, or a
	// rollout replaces the group.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Restarts of a group",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxGroupRestarts *int32 `json:"maxGroupRestarts,omitempty"`

	// subGroupPolicy divides each group into subgroups of subGroupSize pods. A subgroup can be placed exclusively, and is
	// a TPU slice of its own.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Subgroups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	SubGroupPolicy *SubGroupPolicy `json:"subGroupPolicy,omitempty"`

	// The rules compare claims by their meaning, field by field: an empty value is a missing one. They don't read status
	// and the type, which mean nothing in a template. They count quantities and don't read them: a rule that parses a
	// string without a maximum length exceeds the API server's limit for the cost of rules. The webhook compares
	// quantities.

	// volumeClaimTemplates are templates of PersistentVolumeClaims. Each pod gets one claim from each template, named
	// <template>-<pod>, as in a StatefulSet. The list is immutable and has at most 256 items. Other words for the same
	// claims are no change, such as 1024Mi for 1Gi, or a default.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Volume claims of each pod",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.map(c, [dyn(c.?metadata.?name.orValue('')), dyn(c.?metadata.?namespace.orValue('')), dyn(c.?metadata.?labels.orValue({})), dyn(c.?metadata.?annotations.orValue({})), dyn(c.?metadata.?finalizers.orValue([]))]) == oldSelf.map(c, [dyn(c.?metadata.?name.orValue('')), dyn(c.?metadata.?namespace.orValue('')), dyn(c.?metadata.?labels.orValue({})), dyn(c.?metadata.?annotations.orValue({})), dyn(c.?metadata.?finalizers.orValue([]))])",message="field is immutable"
	// +kubebuilder:validation:XValidation:rule="self.map(c, [dyn(c.?spec.?accessModes.orValue([])), dyn(c.?spec.?volumeMode.orValue('Filesystem')), dyn(c.?spec.?volumeName.orValue('')), dyn(c.?spec.?storageClassName), dyn(c.?spec.?volumeAttributesClassName), dyn(c.?spec.?dataSource), dyn(c.?spec.?dataSourceRef)]) == oldSelf.map(c, [dyn(c.?spec.?accessModes.orValue([])), dyn(c.?spec.?volumeMode.orValue('Filesystem')), dyn(c.?spec.?volumeName.orValue('')), dyn(c.?spec.?storageClassName), dyn(c.?spec.?volumeAttributesClassName), dyn(c.?spec.?dataSource), dyn(c.?spec.?dataSourceRef)])",message="field is immutable"
	// +kubebuilder:validation:XValidation:rule="self.map(c, [dyn(c.?spec.?selector.hasValue()), dyn(c.?spec.?selector.?matchLabels.orValue({})), dyn(c.?spec.?selector.?matchExpressions.orValue([]))]) == oldSelf.map(c, [dyn(c.?spec.?selector.hasValue()), dyn(c.?spec.?selector.?matchLabels.orValue({})), dyn(c.?spec.?selector.?matchExpressions.orValue([]))])",message="field is immutable"
	// +kubebuilder:validation:XValidation:rule="self.map(c, [size(c.?spec.?resources.?requests.orValue({})), size(c.?spec.?resources.?limits.orValue({}))]) == oldSelf.map(c, [size(c.?spec.?resources.?requests.orValue({})), size(c.?spec.?resources.?limits.orValue({}))])",message="field is immutable"
	VolumeClaimTemplates []corev1.PersistentVolumeClaim `json:"volumeClaimTemplates,omitempty"`

	// persistentVolumeClaimRetentionPolicy defines what happens to the claims when the LeaderWorkerSet is deleted or
	// scaled down. As in a StatefulSet, claims are retained if it is not set.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Retention of claims",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.?whenDeleted.orValue('Retain') in ['Retain', 'Delete'] || oldSelf.optMap(old, old.?whenDeleted.orValue('Retain') == self.whenDeleted).orValue(false)",optionalOldSelf=true,message="must be Retain or Delete",fieldPath=.whenDeleted
	// +kubebuilder:validation:XValidation:rule="self.?whenScaled.orValue('Retain') in ['Retain', 'Delete'] || oldSelf.optMap(old, old.?whenScaled.orValue('Retain') == self.whenScaled).orValue(false)",optionalOldSelf=true,message="must be Retain or Delete",fieldPath=.whenScaled
	PersistentVolumeClaimRetentionPolicy *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy `json:"persistentVolumeClaimRetentionPolicy,omitempty"` //nolint:lll // A field and its tag are one line.
}

// RestartPolicyType defines what a failed pod means for its group.
//
// +kubebuilder:validation:Enum=RecreateGroupOnPodRestart;RecreateGroupAfterStart;None;Default
type RestartPolicyType string

const (
	// RecreateGroupOnPodRestart recreates the group whenever one of its pods is deleted, evicted, Failed, or has a
	// container restart.
	RecreateGroupOnPodRestart RestartPolicyType = "RecreateGroupOnPodRestart"

	// RecreateGroupAfterStart acts as RecreateGroupOnPodRestart once all pods of the group have been running at the same
	// time.
	RecreateGroupAfterStart RestartPolicyType = "RecreateGroupAfterStart"

	// NoneRestartPolicy leaves failed pods to their StatefulSets and the kubelet.
	NoneRestartPolicy RestartPolicyType = "None"

	// DeprecatedDefaultRestartPolicy is an old name of None. Admission replaces it by None.
	DeprecatedDefaultRestartPolicy RestartPolicyType = "Default"
)

// SubGroupPolicy divides a group into subgroups.
type SubGroupPolicy struct {
	// subGroupPolicyType defines whether the leader belongs to a subgroup. With LeaderWorker, the default, the leader
	// belongs to the first subgroup. It is an extra member there if size - 1 is divisible by subGroupSize and size is not.
	// With LeaderExcluded, the leader belongs to no subgroup.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Leader in a subgroup",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:LeaderWorker","urn:alm:descriptor:com.tectonic.ui:select:LeaderExcluded","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=LeaderWorker
	Type SubGroupPolicyType `json:"subGroupPolicyType,omitempty"`

	// subGroupSize is the number of pods in a subgroup, from 1 to size. It divides size - 1 or, with LeaderWorker, size.
	// It cannot be changed, added or removed.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Pods in a subgroup",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +required
	// +kubebuilder:validation:Minimum=1
	SubGroupSize *int32 `json:"subGroupSize,omitempty"`
}

// SubGroupPolicyType defines whether the leader belongs to a subgroup.
//
// +kubebuilder:validation:Enum=LeaderWorker;LeaderExcluded
type SubGroupPolicyType string

const (
	// SubGroupPolicyTypeLeaderWorker puts the leader into the first subgroup.
	SubGroupPolicyTypeLeaderWorker SubGroupPolicyType = "LeaderWorker"

	// SubGroupPolicyTypeLeaderExcluded puts the leader into no subgroup.
	SubGroupPolicyTypeLeaderExcluded SubGroupPolicyType = "LeaderExcluded"
)

// RolloutStrategy defines how groups of a new revision replace groups of earlier ones.
type RolloutStrategy struct {
	// type is the kind of rollout. RollingUpdate is the only one.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Rollout type",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:RollingUpdate","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=RollingUpdate
	Type RolloutStrategyType `json:"type,omitempty"`

	// rollingUpdateConfiguration holds the limits of a rolling update.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Rolling update"
	// +optional
	// +kubebuilder:default={}
	RollingUpdateConfiguration *RollingUpdateConfiguration `json:"rollingUpdateConfiguration,omitempty"`
}

// RolloutStrategyType is a kind of rollout.
//
// +kubebuilder:validation:Enum=RollingUpdate
type RolloutStrategyType string

// RollingUpdateStrategyType replaces groups a few at a time: first those that are not ready, then from the highest
// index to the lowest.
const RollingUpdateStrategyType RolloutStrategyType = "RollingUpdate"

// RollingUpdateConfiguration holds the limits of a rolling update.
type RollingUpdateConfiguration struct {
	// partition protects the groups with a lower index: they keep their revision. The default, 0, protects none. It may
	// exceed replicas.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Partition",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:number","urn:alm:descriptor:com.tectonic.ui:advanced"}
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	Partition *int32 `json:"partition,omitempty"`

	// maxUnavailable is how many groups may be unavailable because of the rollout. It is a number, or a percentage of
	// replicas from 0% to 100%, rounded down. A percentage that comes to 0 groups counts as 1 group if there is no surge.
	// The default is 1. maxUnavailable and maxSurge must not both be 0 unless replicas is 0.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Groups that may be unavailable",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:text"}
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^([0-9]|[1-9][0-9]|100)%$')",message="must be a number, 0 or greater, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// maxSurge is how many groups beyond replicas may exist during the rollout. It is a number, or a percentage of
	// replicas from 0% to 9999%, rounded up. A number above replicas counts as replicas. The default is 0.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Extra groups",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:text"}
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^[0-9]{1,4}%$')",message="must be a number, 0 or greater, or a percentage from 0% to 9999%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// StartupPolicyType defines when the workers of a group are created.
//
// +kubebuilder:validation:Enum=LeaderCreated;LeaderReady
type StartupPolicyType string

const (
	// LeaderCreatedStartupPolicy creates the workers as soon as the leader pod exists.
	LeaderCreatedStartupPolicy StartupPolicyType = "LeaderCreated"

	// LeaderReadyStartupPolicy creates the workers once the leader pod is ready.
	LeaderReadyStartupPolicy StartupPolicyType = "LeaderReady"
)

// NetworkConfig defines the DNS names by which the pods of a group reach each other.
type NetworkConfig struct {
	// subdomainPolicy defines the headless Services. With Shared, the default, all groups share one Service, named <name>.
	// With UniquePerReplica each group has its own Service, named <name>-<group index>. The address of a pod is
	// <pod>.<service>.<namespace>.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=spec,displayName="Headless Services",xDescriptors={"urn:alm:descriptor:com.tectonic.ui:select:Shared","urn:alm:descriptor:com.tectonic.ui:select:UniquePerReplica"}
	// +optional
	// +kubebuilder:default=Shared
	SubdomainPolicy *SubdomainPolicy `json:"subdomainPolicy,omitempty"`
}

// SubdomainPolicy defines the headless Services of a LeaderWorkerSet.
//
// +kubebuilder:validation:Enum=Shared;UniquePerReplica
type SubdomainPolicy string

const (
	// SubdomainShared creates one headless Service for all groups.
	SubdomainShared SubdomainPolicy = "Shared"

	// SubdomainUniquePerReplica creates one headless Service for each group.
	SubdomainUniquePerReplica SubdomainPolicy = "UniquePerReplica"
)

// LeaderWorkerSetStatus is the state of a LeaderWorkerSet that the operator last observed.
type LeaderWorkerSetStatus struct {
	// conditions report the state of the set. Available: all groups are ready. Progressing: groups are missing or not
	// ready. UpdateInProgress: groups of earlier revisions have yet to be replaced.
	//
	// Two more exist only while they are True. Degraded: groups have crashed more often than maxGroupRestarts allows.
	// ReplicaFailure: the API server refuses a child object or a pod, or a pod was created without the operator's webhook.
	//
	// Two conditions are for tools that follow the convention of kstatus. They exist only while they are True, and never
	// both. Stalled: the set needs help. It is Degraded, or has had a ReplicaFailure for 5 minutes. Reconciling: the set
	// is Progressing, and not Stalled.
	//
	// WorkloadSchedulingCreated exists only if spec.scheduling is set. It is False while the groups can't be scheduled as
	// spec.scheduling asks for.
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

	// readyReplicas is the number of groups whose pods are all ready.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Ready groups"
	// +optional
	// +kubebuilder:default=0
	ReadyReplicas int32 `json:"readyReplicas"`

	// updatedReplicas is the number of groups created from the current templates, ready or not.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Up-to-date groups"
	// +optional
	// +kubebuilder:default=0
	UpdatedReplicas int32 `json:"updatedReplicas"`

	// updateRevision is the key of the current revision, which updatedReplicas counts the groups of. Pods of that revision
	// have it in the label leaderworkerset.sigs.k8s.io/template-revision-hash.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Current revision"
	// +optional
	// +kubebuilder:validation:MaxLength=63
	UpdateRevision string `json:"updateRevision,omitempty"`

	// unreadyGroups lists groups that are not ready or have no restarts left, and why. Surge groups are listed if the API
	// server refuses their pods. The list has at most 10 items, those with the lowest indices.
	//
	// +operator-sdk:csv:customresourcedefinitions:type=status,displayName="Groups that are not ready"
	// +optional
	// +listType=map
	// +listMapKey=index
	// +kubebuilder:validation:MaxItems=10
	UnreadyGroups []UnreadyGroup `json:"unreadyGroups,omitempty"`

	// hpaPodSelector is the label selector of the leader pods, as a string. Autoscalers find the pods of the scale
	// subresource by it.
	//
	// +optional
	HPAPodSelector string `json:"hpaPodSelector,omitempty"`

	// observedGeneration is the metadata.generation that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// MaxUnreadyGroups is the maximum number of groups in status.unreadyGroups.
const MaxUnreadyGroups = 10

// UnreadyGroup reports why a group is not ready.
type UnreadyGroup struct {
	// index is the index of the group, 0 or greater.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	Index int32 `json:"index"`

	// reason is why the group is not ready, in one word of at most 64 characters.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason UnreadyReason `json:"reason"`

	// message explains the reason in at most 1024 characters. It names the pods that a reason is about. While reason and
	// pods stay, the message is refreshed once a minute at most.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// since is when the reason began to hold.
	//
	// +required
	Since metav1.Time `json:"since"`

	// restarts is how often in a row the group was recreated because it crashed.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts,omitempty"`
}

// UnreadyReason is why a group is not ready. Later versions may add reasons.
type UnreadyReason string

// Reasons of the groups in status.unreadyGroups.
const (
	// UnreadyMissing means that the group has no leader pod yet. The API server may refuse it: then the message is the
	// server's.
	UnreadyMissing UnreadyReason = "Missing"

	// UnreadyTerminating means that the leader pod terminates, whether the group comes back or not.
	UnreadyTerminating UnreadyReason = "Terminating"

	// UnreadyDegraded means that the group crashed more often than maxGroupRestarts allows.
	UnreadyDegraded UnreadyReason = "Degraded"

	// UnreadyCrashed means that the group crashed and waits to be recreated.
	UnreadyCrashed UnreadyReason = "Crashed"

	// UnreadyBlocked means that the API server refuses workers, or that an object of the group cannot be created.
	UnreadyBlocked UnreadyReason = "Blocked"

	// UnreadyPreviousGroup means that the leader pod is not scheduled until the pods of the group's previous incarnation
	// are gone.
	UnreadyPreviousGroup UnreadyReason = "PreviousGroup"

	// UnreadyDisrupted means that pods are preempted or evicted, or lose their node.
	UnreadyDisrupted UnreadyReason = "Disrupted"

	// UnreadyGated means that pods wait for scheduling gates of other controllers.
	UnreadyGated UnreadyReason = "Gated"

	// UnreadyUnschedulable means that no node can take pods of the group.
	UnreadyUnschedulable UnreadyReason = "Unschedulable"

	// UnreadyImagePull means that images of pods cannot be pulled.
	UnreadyImagePull UnreadyReason = "ImagePull"

	// UnreadyCannotStart means that containers of pods cannot be started, such as those that need a missing ConfigMap.
	UnreadyCannotStart UnreadyReason = "CannotStart"

	// UnreadyCrashLoop means that containers of pods have ended, and are not ready again.
	UnreadyCrashLoop UnreadyReason = "CrashLoop"

	// UnreadyLeader means that the leader pod is not ready.
	UnreadyLeader UnreadyReason = "LeaderNotReady"

	// UnreadyWorkers means that workers are missing or not ready.
	UnreadyWorkers UnreadyReason = "WorkersNotReady"
)

// Condition types of a LeaderWorkerSet. Available, Progressing and UpdateInProgress exist from the first pass on.
// Exactly one of Available and Progressing is True.
const (
	// ConditionAvailable is True when all groups are ready.
	ConditionAvailable = "Available"

	// ConditionProgressing is True while groups are missing or not ready.
	ConditionProgressing = "Progressing"

	// ConditionUpdateInProgress is True while groups of earlier revisions have to be replaced.
	ConditionUpdateInProgress = "UpdateInProgress"

	// ConditionDegraded is True while groups have crashed more often than maxGroupRestarts allows. Its message names the
	// groups, the last error, and what to do. The condition does not exist otherwise.
	ConditionDegraded = "Degraded"

	// ConditionReplicaFailure is True while the API server refuses a child object or a pod, and while a group has a pod
	// that was created without the webhook. It is also True for a set with values that only another controller supports.
	// Its message is the API server's, or says why. The condition does not exist otherwise.
	ConditionReplicaFailure = "ReplicaFailure"

	// ConditionStalled is True while ConditionDegraded is, and while ConditionReplicaFailure has been for 5 minutes. Its
	// reason and message are theirs. The condition does not exist otherwise. From sigs.k8s.io/cli-utils, package
	// pkg/kstatus/status.
	ConditionStalled = "Stalled"

	// ConditionReconciling is True while ConditionProgressing is and ConditionStalled is not. The condition does not exist
	// otherwise. From the same package.
	ConditionReconciling = "Reconciling"

	// ConditionWorkloadSchedulingCreated exists only if spec.scheduling is set. It is False while the operator can't give
	// groups the objects by which the scheduler schedules their pods together. Its message says why.
	ConditionWorkloadSchedulingCreated = "WorkloadSchedulingCreated"
)
