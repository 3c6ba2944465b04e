// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// MetadataPrefix is the prefix of all labels and annotations of the API.
const MetadataPrefix = "leaderworkerset.sigs.k8s.io/"

// Labels of the objects that make up a LeaderWorkerSet.
const (
	// SetNameLabelKey is on every pod, StatefulSet, Service and ControllerRevision of a LeaderWorkerSet: its name.
	SetNameLabelKey = MetadataPrefix + "name"

	// GroupIndexLabelKey is on pods and worker StatefulSets: the index of the group, 0…replicas-1, higher for surge groups.
	GroupIndexLabelKey = MetadataPrefix + "group-index"

	// WorkerIndexLabelKey is on pods: 0 for the leader, 1…size-1 for workers.
	WorkerIndexLabelKey = MetadataPrefix + "worker-index"

	// GroupUniqueHashLabelKey is on pods and worker StatefulSets: the group's key, unique in the cluster, the hexadecimal
	// SHA-1 of "<namespace>/<leader pod name>".
	GroupUniqueHashLabelKey = MetadataPrefix + "group-key"

	// RevisionLabelKey is on pods, StatefulSets and ControllerRevisions: the key of the revision they were made from.
	RevisionLabelKey = MetadataPrefix + "template-revision-hash"

	// SubGroupIndexLabelKey is on the pods of sets with a subGroupPolicy: the index of the subgroup in its group.
	SubGroupIndexLabelKey = MetadataPrefix + "subgroup-index"

	// SubGroupUniqueHashLabelKey is on the pods of sets with a subGroupPolicy: the subgroup's key, the hexadecimal SHA-1 of
	// "<leader pod name>/<subgroup index>".
	SubGroupUniqueHashLabelKey = MetadataPrefix + "subgroup-key"
)

// Annotations of a LeaderWorkerSet and of the objects that make it up.
const (
	// SizeAnnotationKey is on pods: the number of pods in the group, leader included.
	SizeAnnotationKey = MetadataPrefix + "size"

	// ReplicasAnnotationKey is on the leader StatefulSet: spec.replicas of the LeaderWorkerSet when it was last written. The
	// StatefulSet's own replicas may be higher while surge groups exist.
	ReplicasAnnotationKey = MetadataPrefix + "replicas"

	// LeaderPodNameAnnotationKey is on worker pods: the name of their leader pod.
	LeaderPodNameAnnotationKey = MetadataPrefix + "leader-name"

	// ExclusiveKeyAnnotationKey is set by users on a LeaderWorkerSet: the node label whose values are the places that take one
	// group each, such as a rack. Passed on to pods.
	ExclusiveKeyAnnotationKey = MetadataPrefix + "exclusive-topology"

	// SubGroupExclusiveKeyAnnotationKey is set by users on a LeaderWorkerSet: the node label whose values are the places that
	// take one subgroup each. Passed on to pods.
	SubGroupExclusiveKeyAnnotationKey = MetadataPrefix + "subgroup-exclusive-topology"

	// SubGroupSizeAnnotationKey is on the pods of sets with a subGroupPolicy: its subGroupSize.
	SubGroupSizeAnnotationKey = MetadataPrefix + "subgroup-size"

	// SubGroupPolicyTypeAnnotationKey is on the pods of sets with a subGroupPolicy: its subGroupPolicyType.
	SubGroupPolicyTypeAnnotationKey = MetadataPrefix + "subgroup-policy-type"

	// SubdomainPolicyAnnotationKey is on the leader pods of sets whose subdomainPolicy is UniquePerReplica: that policy.
	SubdomainPolicyAnnotationKey = MetadataPrefix + "subdomainPolicy"

	// LeaderRequestsTPUsAnnotationKey is "true" on worker pods whose leader has a container that asks for TPUs.
	LeaderRequestsTPUsAnnotationKey = MetadataPrefix + "leader-requests-tpus"

	// GroupRecordAnnotationKey is on the leader StatefulSet: what the operator remembers of the groups to notice, after it was away, what
	// failed meanwhile. Its format is the operator's own.
	GroupRecordAnnotationKey = MetadataPrefix + "group-record"

	// AheadAnnotationKey is on the leader StatefulSet while a rolling update replaces groups that its partition can't reach yet, as JSON:
	// the partition, and the indices of those groups. The pod webhook holds the StatefulSet controller to it.
	AheadAnnotationKey = MetadataPrefix + "ahead-of-partition"

	// RecreateGroupAfterStartAnnotationKey is set by users on a LeaderWorkerSet: with any value but "false" its
	// restartPolicy counts as RecreateGroupAfterStart. From before that policy existed.
	RecreateGroupAfterStartAnnotationKey = MetadataPrefix + "experimental-recreate-group-after-start"
)

// PreviousGroupSchedulingGate is on the leader pods of groups with exclusive placement while pods of the group's previous life exist. They
// have the same group-key: the leader would be bound to the place where they still are, and could wait there for long.
const PreviousGroupSchedulingGate = MetadataPrefix + "previous-group"

// Environment variables that every container and init container of a group's pods gets.
const (
	// LeaderAddressEnvVar is the DNS name of the leader: "<leader pod>.<subdomain>.<namespace>".
	LeaderAddressEnvVar = "LWS_LEADER_ADDRESS"

	// GroupSizeEnvVar is the number of pods in the group, leader included.
	GroupSizeEnvVar = "LWS_GROUP_SIZE"

	// WorkerIndexEnvVar is the pod's worker index: 0 for the leader, 1…size-1 for workers.
	WorkerIndexEnvVar = "LWS_WORKER_INDEX"
)

// TPUResourceName is the resource that a container asks for to get the TPU variables below.
const TPUResourceName = "google.com/tpu"

// Environment variables of containers and init containers that ask for TPUs.
const (
	// TPUWorkerHostnamesEnvVar lists "<pod>.<subdomain>" of all TPU containers of the group or subgroup, joined by commas.
	TPUWorkerHostnamesEnvVar = "TPU_WORKER_HOSTNAMES"

	// TPUWorkerIDEnvVar is the container's position in TPU_WORKER_HOSTNAMES.
	TPUWorkerIDEnvVar = "TPU_WORKER_ID"

	// TPUNameEnvVar is the name of the leader pod.
	TPUNameEnvVar = "TPU_NAME"

	// TPUProcessAddressesEnvVar lists "<pod>.<subdomain>:<port>" in the order of TPU_WORKER_HOSTNAMES.
	TPUProcessAddressesEnvVar = "TPU_PROCESS_ADDRESSES"

	// TPUProcessPortEnvVar is the port that the container's TPU process listens on. A user's value is kept.
	TPUProcessPortEnvVar = "TPU_PROCESS_PORT"

	// TPUProcessPortDefault is the port of a pod's first TPU container; each further one gets the next.
	TPUProcessPortDefault = 8476
)

// Reasons of events on a LeaderWorkerSet. Conditions use those that name a state as their reason, too.
const (
	// ReasonCreatingRevision tells that the pod templates or network configuration changed.
	ReasonCreatingRevision = "CreatingRevision"

	// ReasonGroupsProgressing tells that groups are being created or are not ready yet.
	ReasonGroupsProgressing = "GroupsProgressing"

	// ReasonGroupsUpdating tells that groups of earlier revisions are being replaced.
	ReasonGroupsUpdating = "GroupsUpdating"

	// ReasonAllGroupsReady tells that every group is ready.
	ReasonAllGroupsReady = "AllGroupsReady"

	// ReasonAllGroupsUpToDate tells that no group has to be updated.
	ReasonAllGroupsUpToDate = "AllGroupsUpToDate"

	// ReasonHeldByPartition tells that a rolling update has come down to its partition, below which groups keep an earlier revision.
	ReasonHeldByPartition = "HeldByPartition"

	// ReasonRecreateGroup tells that a group is torn down and created again after one of its pods failed.
	ReasonRecreateGroup = "RecreateGroup"

	// ReasonGroupsFailed warns that groups have crashed more often than maxGroupRestarts allows.
	ReasonGroupsFailed = "GroupsFailed"

	// ReasonFailedCreate warns that the API server refused to create a child object.
	ReasonFailedCreate = "FailedCreate"

	// ReasonFailedUpdate warns that the API server refused to change or delete a child object.
	ReasonFailedUpdate = "FailedUpdate"
)
