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
	if s.Scheduling != nil {
		unsupported = append(unsupported, field.Forbidden(spec.Child("scheduling"),
			"gang scheduling isn't supported: the pods of a group are scheduled one by one"))
	}
	return unsupported
}
