// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// MetadataPrefix is the prefix of all labels and annotations of the API.
const MetadataPrefix = "leaderworkerset.sigs.k8s.io/"

// Labels of the objects that belong to a LeaderWorkerSet.
const (
	// SetNameLabelKey is on every pod, StatefulSet, Service and ControllerRevision of a LeaderWorkerSet. Its value is the
	// name of the set.
	SetNameLabelKey = MetadataPrefix + "name"

	// GroupIndexLabelKey is on pods and worker StatefulSets. Its value is the index of the group: 0 to replicas-1, higher
	// for surge groups.
	GroupIndexLabelKey = MetadataPrefix + "group-index"

	// WorkerIndexLabelKey is on pods. Its value is 0 for the leader, and 1 to size-1 for workers.
	WorkerIndexLabelKey = MetadataPrefix + "worker-index"

	// GroupUniqueHashLabelKey is on pods and worker StatefulSets. Its value is the key of the group, unique in the
	// cluster: the hexadecimal SHA-1 of "<namespace>/<leader pod name>".
	GroupUniqueHashLabelKey = MetadataPrefix + "group-key"

	// RevisionLabelKey is on pods, StatefulSets and ControllerRevisions. Its value is the key of their revision.
	RevisionLabelKey = MetadataPrefix + "template-revision-hash"

	// SubGroupIndexLabelKey is on the pods of sets with a subGroupPolicy. Its value is the index of the subgroup in its
	// group.
	SubGroupIndexLabelKey = MetadataPrefix + "subgroup-index"

	// SubGroupUniqueHashLabelKey is on the pods of sets with a subGroupPolicy. Its value is the key of the subgroup: the
	// hexadecimal SHA-1 of "<leader pod name>/<subgroup index>".
	SubGroupUniqueHashLabelKey = MetadataPrefix + "subgroup-key"
)

// Annotations of a LeaderWorkerSet and of the objects that belong to it.
const (
	// SizeAnnotationKey is on pods. Its value is the number of pods in the group, leader included.
	SizeAnnotationKey = MetadataPrefix + "size"

	// ReplicasAnnotationKey is on the leader StatefulSet. Its value is the spec.replicas of the LeaderWorkerSet for which
	// the operator last wrote the StatefulSet. The StatefulSet's own replicas are higher while surge groups exist.
	ReplicasAnnotationKey = MetadataPrefix + "replicas"

	// LeaderPodNameAnnotationKey is on worker pods. Its value is the name of their leader pod.
	LeaderPodNameAnnotationKey = MetadataPrefix + "leader-name"

	// ExclusiveKeyAnnotationKey is set by users on a LeaderWorkerSet. Its value is the name of a node label, such as that
	// of a rack. Nodes with the same value of that label form a topology domain, which takes one group. The operator
	// copies the annotation to pods.
	ExclusiveKeyAnnotationKey = MetadataPrefix + "exclusive-topology"

	// SubGroupExclusiveKeyAnnotationKey is set by users on a LeaderWorkerSet. Its value is the name of a node label. Nodes
	// with the same value of that label form a topology domain, which takes one subgroup. The operator copies the
	// annotation to pods.
	SubGroupExclusiveKeyAnnotationKey = MetadataPrefix + "subgroup-exclusive-topology"

	// ExclusiveScopeAnnotationKey is set by users on a LeaderWorkerSet with exclusive placement. Its value says which
	// groups, or subgroups, keep away from each other: those of the namespace, or those of the set. The operator copies
	// the annotation to pods.
	ExclusiveScopeAnnotationKey = MetadataPrefix + "exclusive-topology-scope"

	// ShareTopologyAnnotationKey is set by users on a LeaderWorkerSet. Its value is the name of a node label. Nodes with
	// the same value of that label form a topology domain. All pods of a group run in one domain, which other groups may
	// share. The operator copies the annotation to pods.
	ShareTopologyAnnotationKey = MetadataPrefix + "share-topology"

	// PlacementAnnotationKey is on ControllerRevisions. Its value is JSON: the annotations for placement of the groups of
	// the revision. The operator adds it to revisions of earlier versions.
	PlacementAnnotationKey = MetadataPrefix + "placement"

	// SubGroupSizeAnnotationKey is on the pods of sets with a subGroupPolicy. Its value is the subGroupSize.
	SubGroupSizeAnnotationKey = MetadataPrefix + "subgroup-size"

	// SubGroupPolicyTypeAnnotationKey is on the pods of sets with a subGroupPolicy. Its value is the subGroupPolicyType.
	SubGroupPolicyTypeAnnotationKey = MetadataPrefix + "subgroup-policy-type"

	// SubdomainPolicyAnnotationKey is on the leader pods of sets whose subdomainPolicy is UniquePerReplica. Its value is
	// that policy.
	SubdomainPolicyAnnotationKey = MetadataPrefix + "subdomainPolicy"

	// LeaderRequestsTPUsAnnotationKey is "true" on worker pods whose leader has a container that requests TPUs.
	LeaderRequestsTPUsAnnotationKey = MetadataPrefix + "leader-requests-tpus"

	// GroupRecordAnnotationKey is on the leader StatefulSet. Its value is what the operator remembers of the groups. An
	// operator that starts finds by it the groups that failed while no operator ran. Its format is private to the
	// operator.
	GroupRecordAnnotationKey = MetadataPrefix + "group-record"

	// AheadAnnotationKey is on the leader StatefulSet while a rolling update has released groups below the partition, or
	// defers groups. Its value is JSON: the key of the revision, the partition, and the indices of those groups. The pod
	// webhook rejects leader pods that contradict it.
	AheadAnnotationKey = MetadataPrefix + "ahead-of-partition"

	// RetriedAtAnnotationKey is on StatefulSets that lack pods. Its value is the time at which the operator last asked the
	// StatefulSet controller to try again. Any change of a StatefulSet does so.
	RetriedAtAnnotationKey = MetadataPrefix + "retried-at"

	// ScaledFromAnnotationKey is on the leader StatefulSet while a rolling update is under way in which groups were added.
	// Its value is the number of groups before. If there is no room for more, those are updated first.
	ScaledFromAnnotationKey = MetadataPrefix + "scaled-from"

	// RecreateGroupAfterStartAnnotationKey is set by users on a LeaderWorkerSet. With any value but "false", the
	// restartPolicy of the set counts as RecreateGroupAfterStart, unless it is None. The annotation is older than that
	// policy.
	RecreateGroupAfterStartAnnotationKey = MetadataPrefix + "experimental-recreate-group-after-start"

	// RecoverAnnotationKey is set by users on the leader pod of a group that crashed. With the value "true", the operator
	// recreates the group once, and its restarts are counted anew. The annotation is deleted with the pod.
	RecoverAnnotationKey = MetadataPrefix + "recover"

	// SchedulingGroupAnnotationKey is on leader pods that the webhook puts into a PodGroup of their own incarnation. Its
	// value is replica, if the PodGroup is that of the whole group, or leader.
	SchedulingGroupAnnotationKey = MetadataPrefix + "scheduling-group"

	// LeaderUIDAnnotationKey is on PodGroups. Its value is the UID of the leader pod of their incarnation. Once that pod
	// is gone, the operator deletes the PodGroup.
	LeaderUIDAnnotationKey = MetadataPrefix + "leader-uid"
)

// Values of the annotation exclusive-topology-scope.
const (
	// ExclusiveScopeNamespace keeps a group away from all other groups of its namespace. It is the default.
	ExclusiveScopeNamespace = "Namespace"

	// ExclusiveScopeLeaderWorkerSet keeps a group away from the other groups of its set.
	ExclusiveScopeLeaderWorkerSet = "LeaderWorkerSet"
)

// PreviousGroupSchedulingGate is the scheduling gate of leader pods that wait for pods of the group's previous
// incarnation: until all are marked for deletion, and with exclusive or shared topology until they are gone. Those pods
// have the same group-key. Without the gate, the scheduler would bind the leader to their topology domain.
const PreviousGroupSchedulingGate = MetadataPrefix + "previous-group"

// RestartSchedulingGate is the scheduling gate of leader pods of groups that crashed before. The operator removes it
// once the group may run: at once, after the delay of the restart, or when somebody resumes a group without restarts
// left.
const RestartSchedulingGate = MetadataPrefix + "group-restart"

// Environment variables of all containers and init containers of a group's pods.
const (
	// LeaderAddressEnvVar is the DNS name of the leader: "<leader pod>.<subdomain>.<namespace>".
	LeaderAddressEnvVar = "LWS_LEADER_ADDRESS"

	// GroupSizeEnvVar is the number of pods in the group, leader included.
	GroupSizeEnvVar = "LWS_GROUP_SIZE"

	// WorkerIndexEnvVar is the pod's worker index: 0 for the leader, 1 to size-1 for workers.
	WorkerIndexEnvVar = "LWS_WORKER_INDEX"
)

// TPUResourceName is the resource name of TPUs. A container that requests it gets the TPU variables below.
const TPUResourceName = "google.com/tpu"

// Environment variables of containers and init containers that request TPUs.
const (
	// TPUWorkerHostnamesEnvVar lists "<pod>.<subdomain>" for each TPU container of the group or subgroup, joined by
	// commas.
	TPUWorkerHostnamesEnvVar = "TPU_WORKER_HOSTNAMES"

	// TPUWorkerIDEnvVar is the container's position in TPU_WORKER_HOSTNAMES, from 0 on.
	TPUWorkerIDEnvVar = "TPU_WORKER_ID"

	// TPUNameEnvVar is the name of the leader pod.
	TPUNameEnvVar = "TPU_NAME"

	// TPUProcessAddressesEnvVar lists "<pod>.<subdomain>:<port>" in the order of TPU_WORKER_HOSTNAMES.
	TPUProcessAddressesEnvVar = "TPU_PROCESS_ADDRESSES"

	// TPUProcessPortEnvVar is the port of the container's TPU process. The operator keeps a user's value.
	TPUProcessPortEnvVar = "TPU_PROCESS_PORT"

	// TPUProcessPortDefault is the port of a pod's first TPU container. Each further TPU container gets the next port.
	TPUProcessPortDefault = 8476
)

// Reasons of events on a LeaderWorkerSet. Conditions have those that describe a state as their reason as well.
const (
	// ReasonCreatingRevision reports that leaderWorkerTemplate or networkConfig changed.
	ReasonCreatingRevision = "CreatingRevision"

	// ReasonGroupsProgressing reports that groups are missing or not ready.
	ReasonGroupsProgressing = "GroupsProgressing"

	// ReasonGroupsUpdating reports that groups of earlier revisions are being replaced.
	ReasonGroupsUpdating = "GroupsUpdating"

	// ReasonAllGroupsReady reports that all groups are ready.
	ReasonAllGroupsReady = "AllGroupsReady"

	// ReasonAllGroupsUpToDate reports that no group has to be updated.
	ReasonAllGroupsUpToDate = "AllGroupsUpToDate"

	// ReasonHeldByPartition reports that a rolling update has reached the partition, below which groups keep an earlier
	// revision.
	ReasonHeldByPartition = "HeldByPartition"

	// ReasonRecreateGroup reports that the operator recreates a group after one of its pods failed.
	ReasonRecreateGroup = "RecreateGroup"

	// ReasonSurgeGaveWay reports that a rolling update removes surge groups, since they or other groups lack room.
	ReasonSurgeGaveWay = "SurgeGaveWay"

	// ReasonReplicaRestartBudgetExceeded warns that groups have crashed more often than maxGroupRestarts allows.
	ReasonReplicaRestartBudgetExceeded = "ReplicaRestartBudgetExceeded"

	// ReasonFailedCreate warns that the API server refuses to create a child object or a pod, or that a pod was created
	// without the webhook.
	ReasonFailedCreate = "FailedCreate"

	// ReasonFailedUpdate warns that the API server refused to change or delete a child object, or that the set has values
	// that only another controller supports.
	ReasonFailedUpdate = "FailedUpdate"

	// ReasonPodGroupsCreated is a reason of ConditionWorkloadSchedulingCreated: nothing is in the way of the PodGroups.
	ReasonPodGroupsCreated = "PodGroupsCreated"

	// ReasonAPINotAvailable is a reason of ConditionWorkloadSchedulingCreated: the API server doesn't serve PodGroups.
	ReasonAPINotAvailable = "APINotAvailable"

	// ReasonUnsupportedProviderCapability is a reason of ConditionWorkloadSchedulingCreated: what the operator is
	// configured for can't do what spec.scheduling asks for.
	ReasonUnsupportedProviderCapability = "UnsupportedProviderCapability"

	// ReasonPodGroupCreateFailed is a reason of ConditionWorkloadSchedulingCreated: the API server refuses a PodGroup, or
	// a group runs without one.
	ReasonPodGroupCreateFailed = "PodGroupCreateFailed"
)
