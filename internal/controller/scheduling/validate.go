// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// ValidateUpdate returns what an update of a set may not ask for. A mistake that the set has already passes. Sets have
// their defaults.
func ValidateUpdate(before, lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	had := Validate(before)
	mistakes := slices.DeleteFunc(Validate(lws), func(mistake *field.Error) bool {
		return slices.ContainsFunc(had, func(old *field.Error) bool { return old.Error() == mistake.Error() })
	})
	if !equality.Semantic.DeepEqual(fixed(before.Spec.Scheduling), fixed(lws.Spec.Scheduling)) {
		mistakes = append(mistakes, field.Forbidden(field.NewPath("spec", "scheduling"),
			"field is immutable, and can't be added or removed: a pod can't join or leave a PodGroup, so that a change "+
				"would need new pods for all groups at once; create another set instead"))
	}
	return mistakes
}

// fixed returns the part of spec.scheduling that never changes. minCount follows the size of groups.
func fixed(spec *leaderworkersetv1.Scheduling) *leaderworkersetv1.Scheduling {
	fixed := spec.DeepCopy()
	if fixed == nil || fixed.Replica == nil {
		return fixed
	}
	policies := []*leaderworkersetv1.SchedulingPolicy{fixed.Replica.SchedulingPolicy}
	for _, role := range []*leaderworkersetv1.RoleScheduling{fixed.Replica.Leader, fixed.Replica.Worker} {
		if role != nil {
			policies = append(policies, role.SchedulingPolicy)
		}
	}
	for _, policy := range policies {
		if policy != nil && policy.Gang != nil {
			policy.Gang.MinCount = nil
		}
	}
	return fixed
}

// Validate returns what a set may not ask for. The set has its defaults.
func Validate(lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	if lws.Spec.Scheduling == nil {
		return nil
	}
	mistakes := validateLevels(lws)
	for _, unit := range Units(lws.Spec.Scheduling) {
		mistakes = append(mistakes, validateUnit(lws, &unit)...)
	}
	return slices.Concat(mistakes, validateStartup(lws), validatePlacement(lws), validateTemplates(lws))
}

// validateLevels returns the fields for whole groups of a set that has leader or worker, and those two if a group has
// no workers.
func validateLevels(lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	replica, path := lws.Spec.Scheduling.Replica, field.NewPath("spec", "scheduling", "replica")
	if replica == nil || (replica.Leader == nil && replica.Worker == nil) {
		return nil
	}
	var mistakes field.ErrorList
	for _, role := range []struct {
		name  string
		isSet bool
	}{{"leader", replica.Leader != nil}, {"worker", replica.Worker != nil}} {
		if role.isSet && *lws.Spec.LeaderWorkerTemplate.Size == 1 {
			mistakes = append(mistakes, field.Forbidden(path.Child(role.name),
				"a group of size 1 has no workers: use the fields of "+path.String()))
		}
	}
	for _, whole := range []struct {
		name  string
		isSet bool
	}{
		{"schedulingPolicy", replica.SchedulingPolicy != nil},
		{"schedulingConstraints", replica.SchedulingConstraints != nil},
		{"disruptionMode", replica.DisruptionMode != nil},
		{"resourceClaims", len(replica.ResourceClaims) > 0},
	} {
		if whole.isSet {
			mistakes = append(mistakes, field.Forbidden(path.Child(whole.name),
				"a pod is in one PodGroup: the fields for whole groups exclude leader and worker"))
		}
	}
	return mistakes
}

func validateUnit(lws *leaderworkersetv1.LeaderWorkerSet, unit *Unit) field.ErrorList {
	path, pods := unit.Path(), unit.pods(*lws.Spec.LeaderWorkerTemplate.Size)
	mistakes := validatePolicy(&unit.Policy, pods, path.Child("schedulingPolicy"))
	if mode := unit.Disruption; mode != nil {
		mistakes = append(mistakes, exactlyOne(path.Child("disruptionMode"),
			choice{"single", mode.Single != nil}, choice{"all", mode.All != nil})...)
	}
	if unit.Constraints != nil {
		for i, constraint := range unit.Constraints.Topology {
			keyPath := path.Child("schedulingConstraints", "topology").Index(i).Child("key")
			if problems := validation.IsQualifiedName(constraint.Key); len(problems) > 0 {
				mistakes = append(mistakes, field.Invalid(keyPath, constraint.Key, strings.Join(problems, "; ")))
			}
		}
	}
	for i := range unit.Claims {
		mistakes = append(mistakes, validateClaim(lws, unit, &unit.Claims[i], path.Child("resourceClaims").Index(i))...)
	}
	return mistakes
}

// validatePolicy validates the policy of a number of pods.
func validatePolicy(policy *leaderworkersetv1.SchedulingPolicy, pods int32, path *field.Path) field.ErrorList {
	mistakes := exactlyOne(path, choice{"basic", policy.Basic != nil}, choice{"gang", policy.Gang != nil})
	if policy.Gang == nil {
		return mistakes
	}
	if count := policy.Gang.MinCount; count != nil && *count != pods {
		mistakes = append(mistakes, field.Invalid(path.Child("gang", "minCount"), *count,
			"must be the number of all pods that it is about, which follows from size: leave it out"))
	}
	if policy.Gang.MinGroupCount != nil {
		mistakes = append(mistakes, field.Forbidden(path.Child("gang", "minGroupCount"),
			"a gang consists of pods here, not of groups"))
	}
	return mistakes
}

// choice is one field of several that exclude each other.
type choice struct {
	name  string
	isSet bool
}

func exactlyOne(path *field.Path, choices ...choice) field.ErrorList {
	var names, set []string
	for _, choice := range choices {
		names = append(names, choice.name)
		if choice.isSet {
			set = append(set, choice.name)
		}
	}
	switch len(set) {
	case 0:
		return field.ErrorList{field.Required(path, "must have one of "+strings.Join(names, ", "))}
	case 1:
		return nil
	default:
		return field.ErrorList{field.Forbidden(path, "must have only one of "+strings.Join(names, ", "))}
	}
}

// validateClaim validates a claim that pods share. A pod shares it only if its template names the same claim.
func validateClaim(
	lws *leaderworkersetv1.LeaderWorkerSet, unit *Unit, claim *leaderworkersetv1.SchedulingResourceClaim, path *field.Path,
) field.ErrorList {
	mistakes := exactlyOne(path, choice{"resourceClaimName", claim.ResourceClaimName != nil},
		choice{"resourceClaimTemplateName", claim.ResourceClaimTemplateName != nil})
	if problems := validation.IsDNS1123Label(claim.Name); len(problems) > 0 {
		mistakes = append(mistakes, field.Invalid(path.Child("name"), claim.Name, strings.Join(problems, "; ")))
	}
	leader, worker := templates(lws)
	named := (unit.Role != Worker && names(leader, claim)) || (unit.Role != Leader && names(worker, claim))
	if !named {
		mistakes = append(mistakes, field.Invalid(path, claim.Name,
			"no pod template has this claim in its spec.resourceClaims, with the same name and source"))
	}
	return mistakes
}

// names reports whether a pod template has a claim, by name and source.
func names(template *corev1.PodTemplateSpec, claim *leaderworkersetv1.SchedulingResourceClaim) bool {
	return slices.ContainsFunc(template.Spec.ResourceClaims, func(of corev1.PodResourceClaim) bool {
		return of.Name == claim.Name && ptr.Equal(of.ResourceClaimName, claim.ResourceClaimName) &&
			ptr.Equal(of.ResourceClaimTemplateName, claim.ResourceClaimTemplateName)
	})
}

// templates returns the pod templates of leaders and workers. Both may be the same.
func templates(lws *leaderworkersetv1.LeaderWorkerSet) (leader, worker *corev1.PodTemplateSpec) {
	template := &lws.Spec.LeaderWorkerTemplate
	if template.LeaderTemplate == nil {
		return &template.WorkerTemplate, &template.WorkerTemplate
	}
	return template.LeaderTemplate, &template.WorkerTemplate
}

// validateStartup returns a startup policy that no gang of leader and workers could pass: the scheduler would wait for
// workers that wait for the leader.
func validateStartup(lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	if lws.Spec.StartupPolicy != leaderworkersetv1.LeaderReadyStartupPolicy || *lws.Spec.LeaderWorkerTemplate.Size == 1 {
		return nil
	}
	for _, unit := range Units(lws.Spec.Scheduling) {
		if unit.Role == Replica && unit.Policy.Gang != nil {
			return field.ErrorList{field.Invalid(field.NewPath("spec", "startupPolicy"), lws.Spec.StartupPolicy,
				"a gang of leader and workers is scheduled as a whole, and these workers wait for a ready leader: use "+
					"LeaderCreated, or a gang of the workers alone, spec.scheduling.replica.worker")}
		}
	}
	return nil
}

// validatePlacement returns annotations for exclusive placement. Workers wait for the node of the leader then, which
// waits for its gang.
func validatePlacement(lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	var mistakes field.ErrorList
	for _, annotation := range []string{
		leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey,
	} {
		if lws.Annotations[annotation] != "" {
			mistakes = append(mistakes, field.Forbidden(field.NewPath("metadata", "annotations").Key(annotation),
				"exclusive placement and spec.scheduling exclude each other"))
		}
	}
	return mistakes
}

// validateTemplates returns what pods of one group may not differ in, and PodGroups that users choose themselves.
func validateTemplates(lws *leaderworkersetv1.LeaderWorkerSet) field.ErrorList {
	path := field.NewPath("spec", "leaderWorkerTemplate")
	leader, worker := templates(lws)
	leaderPath, workerPath := path.Child("leaderTemplate", "spec"), path.Child("workerTemplate", "spec")
	const one = "must be the same in both templates: a group is scheduled by one scheduler, with one priority"
	var mistakes field.ErrorList
	if leader.Spec.PriorityClassName != worker.Spec.PriorityClassName {
		mistakes = append(mistakes, field.Invalid(leaderPath.Child("priorityClassName"), leader.Spec.PriorityClassName, one))
	}
	if schedulerOf(leader) != schedulerOf(worker) {
		mistakes = append(mistakes, field.Invalid(leaderPath.Child("schedulerName"), leader.Spec.SchedulerName, one))
	}
	const chosen = "the operator names the PodGroup of each group"
	if leader != worker && leader.Spec.SchedulingGroup != nil {
		mistakes = append(mistakes, field.Forbidden(leaderPath.Child("schedulingGroup"), chosen))
	}
	if worker.Spec.SchedulingGroup != nil {
		mistakes = append(mistakes, field.Forbidden(workerPath.Child("schedulingGroup"), chosen))
	}
	return mistakes
}

func schedulerOf(template *corev1.PodTemplateSpec) string {
	if template.Spec.SchedulerName == "" {
		return corev1.DefaultSchedulerName
	}
	return template.Spec.SchedulerName
}
