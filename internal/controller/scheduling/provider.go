// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package scheduling decides how the pods of a group are scheduled together: what a set asks for, and the PodGroups of
// a group. It is pure.
//
//	provider.go     what schedules pods together, and what it can't do
//	units.go        what spec.scheduling asks for: the pods that are scheduled together, and how
//	podgroup.go     the PodGroups of one incarnation of a group, and their names
//	validate.go     what spec.scheduling may not ask for
//	kubernetes.go   the provider Kubernetes: the PodGroups of scheduling.k8s.io
//
// Each provider has a file of its own.
package scheduling

import leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"

// Provider is what schedules the pods of a group together.
type Provider string

const (
	// None schedules pods one by one.
	None Provider = "None"

	// Kubernetes is the scheduler of Kubernetes, with the PodGroups of scheduling.k8s.io.
	Kubernetes Provider = "Kubernetes"
)

// Features are the provider that the operator is configured for, and what the API server offers to it.
type Features struct {
	// Provider is empty or None if the operator is configured for no provider.
	Provider Provider

	// PodGroups is the version of scheduling.k8s.io at which the API server serves PodGroups. It is empty if the API
	// server serves none, or at no version that the operator knows.
	PodGroups string

	// Denied is a right for PodGroups that the operator doesn't have, as a verb; empty if it has all.
	Denied string
}

// NoFeatures returns the features of an operator without a provider.
func NoFeatures() Features { return Features{} }

// Problem says why groups can't be scheduled as spec.scheduling asks for. Reason is that of the condition
// WorkloadSchedulingCreated.
type Problem struct{ Reason, Message string }

// Problem returns why no group of a set can be scheduled as spec.scheduling asks for; nil if groups can, or if the set
// asks for nothing.
func (f Features) Problem(lws *leaderworkersetv1.LeaderWorkerSet) *Problem {
	if lws == nil || lws.Spec.Scheduling == nil {
		return nil
	}
	return f.Unavailable()
}

// MayAppear reports whether the operator waits for the API that the provider needs, or for the rights.
func (f Features) MayAppear() bool {
	return f.Provider == Kubernetes && (f.PodGroups == "" || f.Denied != "")
}

// Unavailable returns why no group can be scheduled as a unit; nil if groups can.
func (f Features) Unavailable() *Problem {
	switch {
	case f.Provider != Kubernetes:
		return &Problem{
			Reason:  leaderworkersetv1.ReasonUnsupportedProviderCapability,
			Message: "the operator has no provider for gang scheduling: scheduling.provider is None in its configuration",
		}
	case f.PodGroups == "":
		return &Problem{
			Reason: leaderworkersetv1.ReasonAPINotAvailable,
			Message: "the API server doesn't serve PodGroups: it needs the feature gate GenericWorkload and the API " +
				"scheduling.k8s.io/v1beta1, or v1alpha2 with Kubernetes 1.36",
		}
	case f.Denied != "":
		return &Problem{
			Reason: leaderworkersetv1.ReasonUnsupportedProviderCapability,
			Message: "the operator has no right to " + f.Denied + " podgroups.scheduling.k8s.io: give it the rights of " +
				"config/podgroups",
		}
	default:
		return nil
	}
}
