// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// UpdateDisaggregatedSet changes the latest version of a DisaggregatedSet, as a user. It does nothing if the set was
// deleted.
func (a *API) UpdateDisaggregatedSet(key types.NamespacedName, change func(*disaggregatedsetv1.DisaggregatedSet)) {
	if set := getOf[*disaggregatedsetv1.DisaggregatedSet](a, kindDisaggregatedSet, key); set != nil {
		update(a, set, func(set *disaggregatedsetv1.DisaggregatedSet) { change(set); set.Default() })
	}
}

// ScaleRole writes the replicas of a scaler, as an autoscaler. It does nothing if there is no scaler of that name.
func (a *API) ScaleRole(key types.NamespacedName, replicas int32) {
	if scaler := getOf[*disaggregatedsetv1.DisaggregatedSetRoleScaler](a, kindScaler, key); scaler != nil {
		update(a, scaler, func(scaler *disaggregatedsetv1.DisaggregatedSetRoleScaler) { scaler.Spec.Replicas = replicas })
	}
}

// childrenOf returns the LeaderWorkerSets that a DisaggregatedSet controls and that aren't terminating.
func childrenOf(
	set *disaggregatedsetv1.DisaggregatedSet, all []*leaderworkersetv1.LeaderWorkerSet,
) []*leaderworkersetv1.LeaderWorkerSet {
	return slices.DeleteFunc(slices.Clone(all), func(child *leaderworkersetv1.LeaderWorkerSet) bool {
		return child.DeletionTimestamp != nil || !metav1.IsControlledBy(child, set)
	})
}

func roleOf(child *leaderworkersetv1.LeaderWorkerSet) string {
	return child.Labels[disaggregatedsetv1.RoleLabelKey]
}

func sliceOf(child *leaderworkersetv1.LeaderWorkerSet) string {
	return child.Labels[disaggregatedsetv1.SliceLabelKey]
}

func hashOf(child *leaderworkersetv1.LeaderWorkerSet) string {
	return child.Labels[disaggregatedsetv1.RevisionLabelKey]
}

// baselineOf returns the baseline of a child; 0 if it has none.
func baselineOf(child *leaderworkersetv1.LeaderWorkerSet) int32 {
	return numberIn(child.Annotations[disaggregatedsetv1.InitialReplicasAnnotationKey])
}

// setOfChild returns the key of the DisaggregatedSet of a child, by its label.
func setOfChild(child *leaderworkersetv1.LeaderWorkerSet) types.NamespacedName {
	return at(child, child.Labels[disaggregatedsetv1.SetNameLabelKey])
}

// childName returns the name of a LeaderWorkerSet of a DisaggregatedSet.
func childName(set, slice, hash, role string) string {
	return strings.Join([]string{set, slice, hash, role}, "-")
}

// targetsOf returns how many groups each role is to have. It leaves out roles whose scaler doesn't exist.
func targetsOf(
	set *disaggregatedsetv1.DisaggregatedSet,
	scaler func(types.NamespacedName) *disaggregatedsetv1.DisaggregatedSetRoleScaler,
) map[string]int32 {
	targets := map[string]int32{}
	for i := range set.Spec.Roles {
		role := &set.Spec.Roles[i]
		if role.Scaling.Mode != disaggregatedsetv1.ExternalScaling {
			targets[role.Name] = *role.Spec.Replicas
		} else if found := scaler(at(set, set.Name+"-"+role.Name)); found != nil {
			targets[role.Name] = found.Spec.Replicas
		}
	}
	return targets
}

// budgetOfRole returns how many groups a rollout of a role may add, and how many it may make unavailable.
func budgetOfRole(role *disaggregatedsetv1.DisaggregatedRoleSpec, target int32) (surge, unavailable int32) {
	lws := &leaderworkersetv1.LeaderWorkerSet{Spec: *role.Spec.DeepCopy()}
	lws.Spec.Replicas = &target
	return budgetOf(lws)
}

// The functions below are for films.

// childFacts returns the facts of a LeaderWorkerSet that films show when the operator writes it.
func childFacts(child *leaderworkersetv1.LeaderWorkerSet) []string {
	return []string{
		fmt.Sprintf("replicas %d", *child.Spec.Replicas), fmt.Sprintf("baseline %d", baselineOf(child)),
	}
}

// rolesWords returns the counts of a status, the conditions that are True, and where the rollout is.
func rolesWords(status *disaggregatedsetv1.DisaggregatedSetStatus) string {
	var conditions []string
	words := []string{status.Summary}
	for _, condition := range status.Conditions {
		if condition.Status != metav1.ConditionTrue || condition.Type == disaggregatedsetv1.ConditionReconciling {
			continue
		}
		conditions = append(conditions, condition.Type)
		if condition.Type != disaggregatedsetv1.ConditionAvailable &&
			condition.Type != disaggregatedsetv1.ConditionProgressing {
			words = append(words, condition.Message)
		}
	}
	return strings.Join(slices.Insert(words, 1, strings.Join(conditions, " ")), "; ")
}

// FilmOfRoles returns what users, the operator's passes over DisaggregatedSets and its statuses of their children did.
func (w *World) FilmOfRoles() string {
	var text strings.Builder
	for _, line := range w.film.lines {
		if line.actor == "user" || line.actor == "operator" || strings.HasPrefix(line.actor, "operator, roles ") ||
			(strings.HasPrefix(line.actor, "operator, set ") && line.verb == "status") {
			text.WriteString(line.String() + "\n")
		}
	}
	return text.String()
}

// watchHashes records the numbers of new revisions of DisaggregatedSets.
func (f *film) watchHashes(change Change) {
	child, ok := change.New.(*leaderworkersetv1.LeaderWorkerSet)
	if !ok || hashOf(child) == "" || f.hashes[hashOf(child)] != 0 {
		return
	}
	if f.hashes == nil {
		f.hashes = map[string]int{}
	}
	f.hashes[hashOf(child)] = len(f.hashes) + 1
}

// withoutHashes returns a text with the numbers of revisions instead of their hashes, which change with the version of
// Kubernetes' types.
func (f *film) withoutHashes(text string) string {
	for hash, number := range f.hashes {
		text = strings.ReplaceAll(text, hash, "r"+strconv.Itoa(number))
	}
	return text
}
