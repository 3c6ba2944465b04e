// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// coreFinalizers are those without a domain that objects of the core API may have.
var coreFinalizers = []string{
	string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents,
}

// checkTemplates rejects what the API server takes in the templates of a StatefulSet, and refuses of the pods and
// volume claims that are made from them. What is wrong with the set already passes. before is nil for a new set.
func checkTemplates(before, lws *leaderworkersetv1.LeaderWorkerSet) error {
	problems := problemsOf(lws)
	if before != nil {
		existing := map[string]bool{}
		for _, problem := range problemsOf(before) {
			existing[problem.Error()] = true
		}
		problems = slices.DeleteFunc(problems, func(problem *field.Error) bool { return existing[problem.Error()] })
	}
	if len(problems) == 0 {
		return nil
	}
	return invalidFields(lws, problems)
}

// problemsOf returns what is wrong with the templates of a set.
func problemsOf(lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	template, path := &lws.Spec.LeaderWorkerTemplate, field.NewPath("spec", "leaderWorkerTemplate")
	var problems field.ErrorList
	if template.LeaderTemplate != nil {
		problems = problemsOfPods(template.LeaderTemplate, path.Child("leaderTemplate"))
	}
	problems = append(problems, problemsOfPods(&template.WorkerTemplate, path.Child("workerTemplate"))...)
	for i := range template.VolumeClaimTemplates {
		metadata, path := &template.VolumeClaimTemplates[i].ObjectMeta, path.Child("volumeClaimTemplates").Index(i)
		path = path.Child("metadata")
		problems = append(problems, metav1validation.ValidateLabels(metadata.Labels, path.Child("labels"))...)
		problems = append(problems, apivalidation.ValidateAnnotations(metadata.Annotations, path.Child("annotations"))...)
		problems = append(problems, problemsOfFinalizers(metadata.Finalizers, path.Child("finalizers"))...)
	}
	return problems
}

// problemsOfPods returns what is wrong with the finalizers and images of a pod template.
func problemsOfPods(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	problems := problemsOfFinalizers(template.Finalizers, path.Child("metadata", "finalizers"))
	spec := path.Child("spec")
	problems = append(problems, problemsOfImages(template.Spec.InitContainers, spec.Child("initContainers"))...)
	return append(problems, problemsOfImages(template.Spec.Containers, spec.Child("containers"))...)
}

func problemsOfImages(containers []corev1.Container, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	for i := range containers {
		if image := containers[i].Image; image != strings.TrimSpace(image) {
			problems = append(problems, field.Invalid(path.Index(i).Child("image"), image,
				"must not have leading or trailing whitespace"))
		}
	}
	return problems
}

// problemsOfFinalizers returns what the API server says of the finalizers of a pod or volume claim.
func problemsOfFinalizers(finalizers []string, path *field.Path) field.ErrorList {
	problems := apivalidation.ValidateFinalizers(finalizers, path)
	for i, name := range finalizers {
		if !strings.Contains(name, "/") && !slices.Contains(coreFinalizers, name) {
			problems = append(problems, field.Invalid(path.Index(i), name,
				"name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return problems
}
