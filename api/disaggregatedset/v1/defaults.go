// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Default sets every unset optional field that has a default, those of the roles' LeaderWorkerSets included. The schema
// of the CRD has the same defaults. A role without limits of its rolling update gets a surge of 1 and no
// unavailability; a LeaderWorkerSet has it the other way around.
func (set *DisaggregatedSet) Default() {
	if set.Spec.Slices == nil {
		set.Spec.Slices = ptr.To[int32](1)
	}
	if policy := set.Spec.PlacementPolicy; policy != nil && policy.Type == "" {
		policy.Type = NonePlacement
	}
	for i := range set.Spec.Roles {
		set.Spec.Roles[i].setDefaults()
	}
}

func (r *DisaggregatedRoleSpec) setDefaults() {
	if r.Scaling == nil {
		r.Scaling = &RoleScaling{}
	}
	if r.Scaling.Mode == "" {
		r.Scaling.Mode = StaticScaling
	}
	if r.Spec.RolloutStrategy.RollingUpdateConfiguration == nil {
		r.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
			MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
		}
	}
	lws := leaderworkersetv1.LeaderWorkerSet{Spec: r.Spec}
	lws.Default()
	r.Spec = lws.Spec
}

// IsExternal reports whether the replicas of a role come from its scaler.
func (r *DisaggregatedRoleSpec) IsExternal() bool {
	return r.Scaling != nil && r.Scaling.Mode == ExternalScaling
}
