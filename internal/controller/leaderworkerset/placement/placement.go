// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package placement reads and validates the annotations by which a set asks where the pods of its groups run. It is
// pure.
package placement

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Keys are the annotations of a set that ask for placement. Pods carry them as well.
var Keys = append([]string{
	leaderworkersetv1.ExclusiveScopeAnnotationKey, leaderworkersetv1.ShareTopologyAnnotationKey,
}, Exclusive...)

// Exclusive are the annotations that ask for a topology domain of its own, for each group or subgroup.
var Exclusive = []string{
	leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey,
}

// Of returns those of a set's or a pod's annotations that ask for placement. It is never nil. Without exclusive
// placement, or if it is the default, the scope isn't one of them: it changes nothing.
func Of(annotations map[string]string) map[string]string {
	asked := map[string]string{}
	for _, key := range Keys {
		if value := annotations[key]; value != "" {
			asked[key] = value
		}
	}
	const scope = leaderworkersetv1.ExclusiveScopeAnnotationKey
	if !isExclusive(asked) || asked[scope] == leaderworkersetv1.ExclusiveScopeNamespace {
		delete(asked, scope)
	}
	return asked
}

func isExclusive(annotations map[string]string) bool {
	for _, key := range Exclusive {
		if annotations[key] != "" {
			return true
		}
	}
	return false
}

// Validate returns the annotations that a set may not have. before is the set before an update, or nil. A mistake that
// the set had before passes.
func Validate(before, lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	had := map[string]bool{}
	if before != nil {
		for _, mistake := range mistakesOf(before.Annotations) {
			had[mistake.Error()] = true
		}
	}
	var mistakes field.ErrorList
	for _, mistake := range mistakesOf(lws.Annotations) {
		if !had[mistake.Error()] {
			mistakes = append(mistakes, mistake)
		}
	}
	return mistakes
}

func mistakesOf(annotations map[string]string) field.ErrorList {
	const group, share = leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.ShareTopologyAnnotationKey
	path := field.NewPath("metadata", "annotations")
	var mistakes field.ErrorList
	for _, key := range append([]string{share}, Exclusive...) {
		value := annotations[key]
		if problems := validation.IsQualifiedName(value); value != "" && len(problems) > 0 {
			mistakes = append(mistakes, field.Invalid(path.Key(key), value, strings.Join(problems, "; ")))
		}
	}
	if value := annotations[share]; value != "" && value == annotations[group] {
		mistakes = append(mistakes, field.Invalid(path.Key(share), value,
			"must be another node label than that of "+group+": a group can't share what it has for itself"))
	}
	return append(mistakes, validateScope(annotations, path.Key(leaderworkersetv1.ExclusiveScopeAnnotationKey))...)
}

// validateScope returns a scope that doesn't exist, or that is a scope of nothing.
func validateScope(annotations map[string]string, path *field.Path) field.ErrorList {
	scopes := []string{leaderworkersetv1.ExclusiveScopeLeaderWorkerSet, leaderworkersetv1.ExclusiveScopeNamespace}
	switch scope := annotations[leaderworkersetv1.ExclusiveScopeAnnotationKey]; {
	case scope == "":
		return nil
	case scope != scopes[0] && scope != scopes[1]:
		return field.ErrorList{field.NotSupported(path, scope, scopes)}
	case !isExclusive(annotations):
		return field.ErrorList{field.Forbidden(path, "needs "+strings.Join(Exclusive, " or "))}
	default:
		return nil
	}
}
