// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import "k8s.io/apimachinery/pkg/util/validation/field"

// Unsupported returns the fields that ask for what only other LeaderWorkerSet controllers do, and why this operator
// doesn't. The webhook rejects them, and the schema those that it can. A set that another controller's CRD admitted has
// them all the same.
func (s *LeaderWorkerSetSpec) Unsupported() field.ErrorList {
	var unsupported field.ErrorList
	spec := field.NewPath("spec")
	if s.GroupIdentity != "" && s.GroupIdentity != GroupIdentityOrdinal {
		unsupported = append(unsupported, field.Invalid(spec.Child("groupIdentity"), s.GroupIdentity,
			"must be Ordinal: groups are identified by index here"))
	}
	if s.GroupReplacementPolicy != "" && s.GroupReplacementPolicy != GroupReplacementPostTermination {
		unsupported = append(unsupported, field.Invalid(spec.Child("groupReplacementPolicy"), s.GroupReplacementPolicy,
			"must be PostTermination: a group is created once its predecessor is gone, because both have the same pod names"))
	}
	return append(unsupported, s.Scheduling.unsupported(spec.Child("scheduling"))...)
}

// unsupported returns the fields that would schedule the whole set as one unit.
func (s *Scheduling) unsupported(path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var unsupported field.ErrorList
	for _, level := range []struct {
		name  string
		isSet bool
	}{
		{"schedulingPolicy", s.SchedulingPolicy != nil},
		{"schedulingConstraints", s.SchedulingConstraints != nil},
		{"disruptionMode", s.DisruptionMode != nil},
		{"resourceClaims", len(s.ResourceClaims) > 0},
	} {
		if level.isSet {
			unsupported = append(unsupported, field.Forbidden(path.Child(level.name),
				"the set can't be scheduled as one unit: set the field of "+path.Child("replica").String()+", for each group"))
		}
	}
	return unsupported
}
