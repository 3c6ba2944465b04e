// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package snapshot holds what one pass over a DisaggregatedSet may look at, as plain values. Nobody changes it.
package snapshot

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	lwsidentity "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	lwssnapshot "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Set is a DisaggregatedSet with all that it owns, as one pass observed it.
type Set struct {
	// DSet is the set, with its defaults.
	DSet *disaggregatedsetv1.DisaggregatedSet

	// Children are the set's LeaderWorkerSets, by slice, newest first, see [Owned].
	Children []Child

	// Scalers are the set's scalers, by role.
	Scalers map[string]*disaggregatedsetv1.DisaggregatedSetRoleScaler

	// Services are those that another controller has left behind.
	Services []*corev1.Service
}

// Child is a LeaderWorkerSet of the set.
type Child struct {
	LWS *leaderworkersetv1.LeaderWorkerSet

	// Role, Slice and Revision are those of its labels.
	Role     string
	Slice    int32
	Revision string
}

// Owned returns the children among LeaderWorkerSets: those that the set controls, by UID. One without a slice is from a
// time before slices, and belongs to slice 0.
func Owned(set *disaggregatedsetv1.DisaggregatedSet, all []*leaderworkersetv1.LeaderWorkerSet) []Child {
	var children []Child
	for _, lws := range all {
		if !metav1.IsControlledBy(lws, set) {
			continue
		}
		slice, _ := lwsidentity.ParseIndex(lws.Labels[disaggregatedsetv1.SliceLabelKey])
		children = append(children, Child{
			LWS: lws, Slice: slice,
			Role:     lws.Labels[disaggregatedsetv1.RoleLabelKey],
			Revision: lws.Labels[disaggregatedsetv1.RevisionLabelKey],
		})
	}
	slices.SortFunc(children, func(a, b Child) int {
		return cmp.Or(
			cmp.Compare(a.Slice, b.Slice),
			b.LWS.CreationTimestamp.Compare(a.LWS.CreationTimestamp.Time),
			strings.Compare(a.LWS.Name, b.LWS.Name))
	})
	return children
}

// Terminating reports whether the child is being deleted. Such a child counts nothing.
func (c Child) Terminating() bool { return c.LWS.DeletionTimestamp != nil }

// Observed reports whether the child's status describes its spec.
func (c Child) Observed() bool { return c.LWS.Status.ObservedGeneration == c.LWS.Generation }

// Replicas returns how many groups the child is to have.
func (c Child) Replicas() int32 { return *c.LWS.Spec.Replicas }

// InitialReplicas returns the child's baseline, see [disaggregatedsetv1.InitialReplicasAnnotationKey]. ok is false if
// it has none.
func (c Child) InitialReplicas() (replicas int32, ok bool) {
	return lwsidentity.ParseIndex(c.LWS.Annotations[disaggregatedsetv1.InitialReplicasAnnotationKey])
}

// HasGroups reports whether the child has groups, or is to have them.
func (c Child) HasGroups() bool {
	return !c.Terminating() && (c.Replicas() > 0 || c.LWS.Status.Replicas > 0)
}

// Role returns a role of the spec; nil if the spec doesn't have it.
func (s *Set) Role(name string) *disaggregatedsetv1.DisaggregatedRoleSpec {
	i := slices.IndexFunc(s.DSet.Spec.Roles, func(r disaggregatedsetv1.DisaggregatedRoleSpec) bool {
		return r.Name == name
	})
	if i < 0 {
		return nil
	}
	return &s.DSet.Spec.Roles[i]
}

// Target returns how many groups of a role one slice is to have. A role whose scaler doesn't exist yet is to have what
// the scaler is created with.
func (s *Set) Target(role *disaggregatedsetv1.DisaggregatedRoleSpec) int32 {
	if !role.IsExternal() {
		return *role.Spec.Replicas
	}
	if scaler := s.Scalers[role.Name]; scaler != nil {
		return scaler.Spec.Replicas
	}
	return s.FirstReplicas(role.Name)
}

// FirstReplicas returns what the scaler of a role is created with: 1 for a new role, or else what the role has.
func (s *Set) FirstReplicas(role string) int32 {
	sum, exists := int32(0), false
	for _, child := range s.Children {
		if child.Role == role && !child.Terminating() {
			sum, exists = sum+child.Replicas(), true
		}
	}
	if !exists {
		return 1
	}
	return sum
}

// Budget returns how many groups of a role a rollout may add, and how many it may make unavailable, for a number of
// groups. Percentages are of that number.
func Budget(role *disaggregatedsetv1.DisaggregatedRoleSpec, replicas int32) (surge, unavailable int32) {
	lws := leaderworkersetv1.LeaderWorkerSet{Spec: role.Spec}
	lws.Spec.Replicas = &replicas
	return lwssnapshot.Budget(&lws)
}
