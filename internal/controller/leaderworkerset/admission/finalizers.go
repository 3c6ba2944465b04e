// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// coreFinalizers are those without a domain that objects of the core API may have.
var coreFinalizers = []string{
	string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents,
}

// checkFinalizers rejects finalizers that pods or volume claims can't have. The API server doesn't check those of a
// StatefulSet's templates. Finalizers that the set has already pass. before is nil for a new set.
func checkFinalizers(before, lws *leaderworkersetv1.LeaderWorkerSet) error {
	existing := map[string][]string{}
	if before != nil {
		for path, finalizers := range finalizersOf(before) {
			existing[path.String()] = finalizers
		}
	}
	var invalid field.ErrorList
	for path, finalizers := range finalizersOf(lws) {
		if !slices.Equal(finalizers, existing[path.String()]) {
			invalid = append(invalid, invalidFinalizers(finalizers, path)...)
		}
	}
	if len(invalid) == 0 {
		return nil
	}
	slices.SortStableFunc(invalid, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return invalidFields(lws, invalid)
}

// finalizersOf returns the finalizers of the templates of a set that has its defaults, by their path.
func finalizersOf(lws *leaderworkersetv1.LeaderWorkerSet) map[*field.Path][]string {
	template, path := &lws.Spec.LeaderWorkerTemplate, field.NewPath("spec", "leaderWorkerTemplate")
	of := func(path *field.Path) *field.Path { return path.Child("metadata", "finalizers") }
	finalizers := map[*field.Path][]string{of(path.Child("workerTemplate")): template.WorkerTemplate.Finalizers}
	if template.LeaderTemplate != nil {
		finalizers[of(path.Child("leaderTemplate"))] = template.LeaderTemplate.Finalizers
	}
	for i := range template.VolumeClaimTemplates {
		finalizers[of(path.Child("volumeClaimTemplates").Index(i))] = template.VolumeClaimTemplates[i].Finalizers
	}
	return finalizers
}

// invalidFinalizers returns what the API server says of the finalizers of a pod or volume claim.
func invalidFinalizers(finalizers []string, path *field.Path) field.ErrorList {
	invalid := apivalidation.ValidateFinalizers(finalizers, path)
	for i, name := range finalizers {
		if !strings.Contains(name, "/") && !slices.Contains(coreFinalizers, name) {
			invalid = append(invalid, field.Invalid(path.Index(i), name,
				"name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return invalid
}
