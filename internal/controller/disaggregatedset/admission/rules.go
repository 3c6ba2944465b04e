// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	lwsidentity "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

const (
	// maxScalerName is the longest name of an object.
	maxScalerName = 253

	// externalReplicas is how many groups a role with a scaler has names for. The API server rejects a scaler's number
	// above that if the names are too long, and the condition ReplicaFailure says so.
	externalReplicas = 9999
)

// newProblems returns the problems of a set that it doesn't have before the update, by field and message.
func newProblems(before, set *disaggregatedsetv1.DisaggregatedSet) field.ErrorList {
	found := problems(set)
	if before == nil {
		return found
	}
	had := problems(before)
	return slices.DeleteFunc(found, func(err *field.Error) bool {
		return slices.ContainsFunc(had, func(old *field.Error) bool {
			return old.Field == err.Field && old.Detail == err.Detail
		})
	})
}

// problems returns what is wrong with a set. Its defaults have to be filled in.
func problems(set *disaggregatedsetv1.DisaggregatedSet) field.ErrorList {
	found := placementProblems(set)
	for i := range set.Spec.Roles {
		role, path := &set.Spec.Roles[i], rolePath(i)
		found = append(found, rolloutProblems(role, path)...)
		for _, err := range role.Spec.Unsupported() {
			err.Field = path.String() + "." + err.Field
			found = append(found, err)
		}
		if err := nameProblem(set, role, path); err != nil {
			found = append(found, err)
		}
	}
	return found
}

// rolloutProblems are limits by which a role could never be rolled out in step with others.
func rolloutProblems(role *disaggregatedsetv1.DisaggregatedRoleSpec, path *field.Path) field.ErrorList {
	var found field.ErrorList
	strategy, at := role.Spec.RolloutStrategy, path.Child("spec", "rolloutStrategy")
	if strategy.Type != leaderworkersetv1.RollingUpdateStrategyType {
		found = append(found, field.NotSupported(at.Child("type"), strategy.Type,
			[]leaderworkersetv1.RolloutStrategyType{leaderworkersetv1.RollingUpdateStrategyType}))
	}
	limits, at := strategy.RollingUpdateConfiguration, at.Child("rollingUpdateConfiguration")
	if *limits.Partition > 0 {
		found = append(found, field.Invalid(at.Child("partition"), *limits.Partition,
			"must be 0: a DisaggregatedSet rolls out all groups"))
	}
	replicas := *role.Spec.Replicas
	if !role.IsExternal() && replicas > 0 &&
		resolve(limits.MaxSurge, replicas, true) == 0 && resolve(limits.MaxUnavailable, replicas, false) == 0 {
		found = append(found, field.Invalid(at.Child("maxUnavailable"), limits.MaxUnavailable.String(),
			fmt.Sprintf("comes to 0 of %d groups, and maxSurge is 0: nothing could ever be updated", replicas)))
	}
	return found
}

func resolve(value *intstr.IntOrString, replicas int32, roundUp bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, int(replicas), roundUp)
	if err != nil {
		return 0 // The schema rejects such a value.
	}
	return n
}

// nameProblem is a name of which a child's name would be too long, or would be that of another child.
func nameProblem(
	set *disaggregatedsetv1.DisaggregatedSet, role *disaggregatedsetv1.DisaggregatedRoleSpec, path *field.Path,
) *field.Error {
	if name := identity.Scaler(set.Name, role.Name); role.IsExternal() && len(name) > maxScalerName {
		return field.Invalid(path.Child("name"), role.Name, fmt.Sprintf(
			"the name of its scaler, %s, has more than %d characters", name, maxScalerName))
	}
	if parent, _, ok := lwsidentity.Parse(role.Name); ok && roleOf(set, parent) != nil {
		return field.Invalid(path.Child("name"), role.Name,
			fmt.Sprintf("its LeaderWorkerSet would have the name of a group of role %q", parent))
	}
	replicas := *role.Spec.Replicas
	if role.IsExternal() {
		replicas = externalReplicas
	}
	surge, _ := snapshot.Budget(role, replicas)
	limit := lwsidentity.MaxSetName(*role.Spec.LeaderWorkerTemplate.Size, max(0, replicas-1+surge))
	if most := identity.MaxSetName(limit, *set.Spec.Slices, role.Name); len(set.Name) > most {
		return field.Invalid(field.NewPath("metadata", "name"), set.Name, fmt.Sprintf(
			"must be no more than %d characters with the name, replicas, size and maxSurge of role %q: "+
				"LeaderWorkerSets and pods are named after it", max(most, 0), role.Name))
	}
	return nil
}

// placementProblems are placements that no pod could have.
func placementProblems(set *disaggregatedsetv1.DisaggregatedSet) field.ErrorList {
	policy := set.Spec.PlacementPolicy
	if policy == nil || policy.Type == disaggregatedsetv1.NonePlacement {
		return nil
	}
	var found field.ErrorList
	path := field.NewPath("spec", "placementPolicy", "topology")
	if policy.Topology == "" {
		found = append(found, field.Required(path, "must be set unless type is None"))
	} else if problems := validation.IsQualifiedName(policy.Topology); len(problems) > 0 {
		found = append(found, field.Invalid(path, policy.Topology, strings.Join(problems, "; ")))
	}
	for i := range set.Spec.Roles {
		for _, key := range []string{
			leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey,
		} {
			if value := set.Spec.Roles[i].Metadata.Annotations[key]; value != "" {
				found = append(found, field.Invalid(rolePath(i).Child("metadata", "annotations").Key(key), value,
					"must not be set beside spec.placementPolicy: groups of a slice share a topology domain"))
			}
		}
	}
	return found
}
