// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// MetadataPrefix is the prefix of the labels and annotations of the API.
const MetadataPrefix = "disaggregatedset.x-k8s.io/"

// Labels of the LeaderWorkerSets of a DisaggregatedSet and of their pods. Routers select pods by them.
const (
	// SetNameLabelKey has the name of the DisaggregatedSet as its value.
	SetNameLabelKey = MetadataPrefix + "name"

	// RoleLabelKey has the name of the role as its value.
	RoleLabelKey = MetadataPrefix + "role"

	// SliceLabelKey has the index of the slice as its value: 0 to slices-1. LeaderWorkerSets that other controllers have
	// created may lack it: they belong to slice 0.
	SliceLabelKey = MetadataPrefix + "slice"

	// RevisionLabelKey has the key of the revision as its value: 8 hexadecimal digits.
	RevisionLabelKey = MetadataPrefix + "revision"

	// AppLabelKey has "<set>-<slice>-<role>" as its value.
	AppLabelKey = "app"
)

// InitialReplicasAnnotationKey is on LeaderWorkerSets of a DisaggregatedSet. Its value is the number of groups that the
// role had at the end of the time in which the revision was the current one. A rollout moves all roles by the same
// fraction of this number.
const InitialReplicasAnnotationKey = MetadataPrefix + "initial-replicas"

// Environment variables of all containers and init containers.
const (
	// NameEnvVar is the name of the DisaggregatedSet.
	NameEnvVar = "DISAGGREGATEDSET_NAME"

	// RoleEnvVar is the name of the role.
	RoleEnvVar = "DISAGGREGATEDSET_ROLE"

	// SliceEnvVar is the index of the slice.
	SliceEnvVar = "DISAGGREGATEDSET_SLICE"

	// RevisionEnvVar is the key of the revision.
	RevisionEnvVar = "DISAGGREGATEDSET_REVISION"
)

// Condition types of a DisaggregatedSet. Available, Progressing and UpdateInProgress exist from the first pass on.
// Exactly one of Available and Progressing is True.
const (
	// ConditionAvailable is True when all groups of all roles are ready and of the current revision.
	ConditionAvailable = "Available"

	// ConditionProgressing is True while groups are missing, not ready or of an earlier revision.
	ConditionProgressing = "Progressing"

	// ConditionUpdateInProgress is True while groups of earlier revisions have to be replaced.
	ConditionUpdateInProgress = "UpdateInProgress"

	// ConditionDegraded is True while a LeaderWorkerSet of the set is Degraded. Its message names the roles. The condition
	// does not exist otherwise.
	ConditionDegraded = "Degraded"

	// ConditionReplicaFailure is True while the API server refuses a child object, a name is taken by somebody else's
	// object, or a LeaderWorkerSet of the set has this condition. The condition does not exist otherwise.
	ConditionReplicaFailure = "ReplicaFailure"

	// ConditionStalled is True while ConditionDegraded is, and while ConditionReplicaFailure has been for 5 minutes. The
	// condition does not exist otherwise. From sigs.k8s.io/cli-utils, package pkg/kstatus/status.
	ConditionStalled = "Stalled"

	// ConditionReconciling is True while ConditionProgressing is and ConditionStalled is not. The condition does not exist
	// otherwise. From the same package.
	ConditionReconciling = "Reconciling"
)

// ConditionReady is the condition of a DisaggregatedSetRoleScaler that drives a role.
const ConditionReady = "Ready"

// ReasonBound is the reason of ConditionReady.
const ReasonBound = "Bound"

// Reasons of conditions of a DisaggregatedSet.
const (
	// ReasonAllRolesReady says that every role has all its groups, ready and of the current revision.
	ReasonAllRolesReady = "AllRolesReady"

	// ReasonRolloutInProgress says that a role isn't as the spec asks for.
	ReasonRolloutInProgress = "RolloutInProgress"

	// ReasonRolesUpdating says that roles have groups of earlier revisions.
	ReasonRolesUpdating = "RolesUpdating"

	// ReasonAllRolesUpToDate says that no role has groups of earlier revisions.
	ReasonAllRolesUpToDate = "AllRolesUpToDate"

	// ReasonReplicaRestartBudgetExceeded says that groups have crashed more often than maxGroupRestarts allows.
	ReasonReplicaRestartBudgetExceeded = "ReplicaRestartBudgetExceeded"
)

// Reasons of events about a DisaggregatedSet.
const (
	// ReasonRollingUpdateStarted reports that a new revision is being rolled out.
	ReasonRollingUpdateStarted = "RollingUpdateStarted"

	// ReasonRollingUpdateCompleted reports that all roles are up to date and ready.
	ReasonRollingUpdateCompleted = "RollingUpdateCompleted"

	// ReasonScalingUp reports that a role gets more groups outside of a rollout.
	ReasonScalingUp = "ScalingUp"

	// ReasonScalingDown reports that a role gets fewer groups outside of a rollout.
	ReasonScalingDown = "ScalingDown"

	// ReasonLWSDeleted reports that LeaderWorkerSets of the set are deleted.
	ReasonLWSDeleted = "LWSDeleted"

	// ReasonScalerCreated reports that the scaler of a role is created.
	ReasonScalerCreated = "ScalerCreated"

	// ReasonScalerDeleted reports that the scaler of a role is deleted.
	ReasonScalerDeleted = "ScalerDeleted"

	// ReasonScalerConflict warns that somebody else's scaler has the name that a role needs.
	ReasonScalerConflict = "ScalerConflict"

	// ReasonFailedCreate warns that the API server refuses to create a child object.
	ReasonFailedCreate = "FailedCreate"

	// ReasonFailedUpdate warns that the API server refuses to change or delete a child object.
	ReasonFailedUpdate = "FailedUpdate"
)
