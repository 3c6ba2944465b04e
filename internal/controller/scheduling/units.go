// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Role says which pods of a group a unit has. It is the field of spec.scheduling that describes the unit.
type Role string

const (
	// Replica has all pods of a group.
	Replica Role = "replica"

	// Leader has the leader.
	Leader Role = "leader"

	// Worker has the workers.
	Worker Role = "worker"
)

// Unit is what spec.scheduling asks for: pods of each group that are scheduled together, and how.
type Unit struct {
	Role Role

	// Policy, Constraints and Disruption are the user's. Policy has its default.
	Policy      leaderworkersetv1.SchedulingPolicy
	Constraints *leaderworkersetv1.SchedulingConstraints
	Disruption  *leaderworkersetv1.DisruptionMode
	Claims      []leaderworkersetv1.SchedulingResourceClaim
}

// Units returns what spec.scheduling asks for; nothing if it isn't set. A group is one unit, or its leader and its
// workers are one each. A role that spec.scheduling doesn't mention is in no unit.
func Units(spec *leaderworkersetv1.Scheduling) []Unit {
	if spec == nil {
		return nil
	}
	replica := spec.Replica
	if replica == nil {
		replica = &leaderworkersetv1.ReplicaScheduling{}
	}
	if replica.Leader == nil && replica.Worker == nil {
		return []Unit{unitOf(Replica, &leaderworkersetv1.RoleScheduling{
			SchedulingPolicy: replica.SchedulingPolicy, SchedulingConstraints: replica.SchedulingConstraints,
			DisruptionMode: replica.DisruptionMode, ResourceClaims: replica.ResourceClaims,
		})}
	}
	var units []Unit
	if replica.Leader != nil {
		units = append(units, unitOf(Leader, replica.Leader))
	}
	if replica.Worker != nil {
		units = append(units, unitOf(Worker, replica.Worker))
	}
	return units
}

func unitOf(role Role, spec *leaderworkersetv1.RoleScheduling) Unit {
	unit := Unit{
		Role: role, Constraints: spec.SchedulingConstraints, Disruption: spec.DisruptionMode, Claims: spec.ResourceClaims,
	}
	switch {
	case spec.SchedulingPolicy != nil:
		unit.Policy = *spec.SchedulingPolicy
	case role == Replica:
		unit.Policy.Gang = &leaderworkersetv1.GangSchedulingPolicy{}
	default:
		unit.Policy.Basic = &leaderworkersetv1.BasicSchedulingPolicy{}
	}
	return unit
}

// LeaderRole returns the role of the unit that leaders are in; empty if leaders are in none.
func LeaderRole(spec *leaderworkersetv1.Scheduling) Role {
	for _, unit := range Units(spec) {
		if unit.Role != Worker {
			return unit.Role
		}
	}
	return ""
}

// pods returns how many pods of a group of this size are in the unit.
func (u *Unit) pods(size int32) int32 {
	switch u.Role {
	case Leader:
		return 1
	case Worker:
		return size - 1
	default:
		return size
	}
}

// Path returns the field of a set that describes the unit.
func (u *Unit) Path() *field.Path {
	path := field.NewPath("spec", "scheduling", "replica")
	if u.Role == Replica {
		return path
	}
	return path.Child(string(u.Role))
}
