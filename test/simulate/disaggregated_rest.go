// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// CheckRolesReconciled fails the test unless the world, which is at rest, is exactly what the DisaggregatedSet asks
// for: its LeaderWorkerSets, their objects and pods, its scalers, and its status. A restarted operator writes nothing.
func (w *World) CheckRolesReconciled(key types.NamespacedName) {
	w.t.Helper()
	set := getOf[*disaggregatedsetv1.DisaggregatedSet](w.API, kindDisaggregatedSet, key)
	if set == nil {
		w.fail("DisaggregatedSet %s doesn't exist", key)
	}
	w.compare("LeaderWorkerSets", wantedChildren(w, set), presentChildren(w, set))
	var objects []string
	for _, lws := range listOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet) {
		objects = append(objects, wanted(lws)...)
		w.compare("status of "+lws.Name, wantedStatus(lws), actualStatus(lws))
	}
	slices.Sort(objects)
	w.compare("objects", objects, w.present())
	w.compare("scalers", wantedScalers(set), w.presentScalers(set))
	w.compare("status", wantedRoles(w, set), actualRoles(set))
	w.CheckIdle()
}

// CheckRolesDeleted fails the test if an object of a DisaggregatedSet is left in the world, which is at rest.
func (w *World) CheckRolesDeleted() {
	w.t.Helper()
	var left []string
	for _, kind := range []string{kindDisaggregatedSet, kindScaler, kindLeaderWorkerSet} {
		for _, object := range w.API.List(kind) {
			left = append(left, noun(object)+" "+object.GetName())
		}
	}
	w.compare("objects", []string(nil), left)
	w.CheckDeleted()
}

// targetsNow returns how many groups each role of a set is to have in a slice.
func targetsNow(w *World, set *disaggregatedsetv1.DisaggregatedSet) map[string]int32 {
	return targetsOf(set, func(key types.NamespacedName) *disaggregatedsetv1.DisaggregatedSetRoleScaler {
		return getOf[*disaggregatedsetv1.DisaggregatedSetRoleScaler](w.API, kindScaler, key)
	})
}

// wantedChildren returns the LeaderWorkerSets of a set, in words.
func wantedChildren(w *World, set *disaggregatedsetv1.DisaggregatedSet) []string {
	targets := targetsNow(w, set)
	var wanted []string
	for slice := range *set.Spec.Slices {
		for i := range set.Spec.Roles {
			role := &set.Spec.Roles[i]
			name := childName(set.Name, strconv.Itoa(int(slice)), set.Status.UpdateRevision, role.Name)
			surge, unavailable := budgetOfRole(role, targets[role.Name])
			wanted = append(wanted, wordsOfChild(name, &role.Spec, targets[role.Name], targets[role.Name],
				fmt.Sprintf("%s-%d-%s", set.Name, slice, role.Name), surge, unavailable))
		}
	}
	slices.Sort(wanted)
	return wanted
}

// presentChildren returns the LeaderWorkerSets that a set controls, in the same words.
func presentChildren(w *World, set *disaggregatedsetv1.DisaggregatedSet) []string {
	var present []string
	for _, lws := range listOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet) {
		if metav1.IsControlledBy(lws, set) {
			surge, unavailable := budgetOf(lws)
			present = append(present, wordsOfChild(lws.Name, &lws.Spec, *lws.Spec.Replicas, baselineOf(lws),
				lws.Labels[disaggregatedsetv1.AppLabelKey], surge, unavailable))
		}
	}
	slices.Sort(present)
	return present
}

func wordsOfChild(
	name string, spec *leaderworkersetv1.LeaderWorkerSetSpec, replicas, baseline int32, app string,
	surge, unavailable int32,
) string {
	return fmt.Sprintf("%s: %d groups of %d, baseline %d, image %s, app %s, surge %d, unavailable %d", name, replicas,
		*spec.LeaderWorkerTemplate.Size, baseline, spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image, app,
		surge, unavailable)
}

func wantedScalers(set *disaggregatedsetv1.DisaggregatedSet) []string {
	var wanted []string
	for i := range set.Spec.Roles {
		if role := &set.Spec.Roles[i]; role.Scaling.Mode == disaggregatedsetv1.ExternalScaling {
			wanted = append(wanted, set.Name+"-"+role.Name)
		}
	}
	slices.Sort(wanted)
	return wanted
}

func (w *World) presentScalers(set *disaggregatedsetv1.DisaggregatedSet) []string {
	var present []string
	for _, scaler := range w.API.List(kindScaler) {
		if metav1.IsControlledBy(scaler, set) {
			present = append(present, scaler.GetName())
		}
	}
	slices.Sort(present)
	return present
}

// roleFacts are the parts of a status that follow from the spec alone.
type roleFacts struct {
	Observed                               int64
	Roles                                  []disaggregatedsetv1.RoleStatus
	Available, Progressing, Updating, Fail bool
}

func wantedRoles(w *World, set *disaggregatedsetv1.DisaggregatedSet) roleFacts {
	facts, targets := roleFacts{Observed: set.Generation, Available: true}, targetsNow(w, set)
	for i := range set.Spec.Roles {
		name := set.Spec.Roles[i].Name
		count := targets[name] * *set.Spec.Slices
		facts.Roles = append(facts.Roles, disaggregatedsetv1.RoleStatus{
			Name: name, Replicas: count, ReadyReplicas: count, UpdatedReplicas: count,
		})
	}
	return facts
}

func actualRoles(set *disaggregatedsetv1.DisaggregatedSet) roleFacts {
	holds := func(condition string) bool { return meta.IsStatusConditionTrue(set.Status.Conditions, condition) }
	return roleFacts{
		Observed:    set.Status.ObservedGeneration,
		Roles:       set.Status.RoleStatuses,
		Available:   holds(disaggregatedsetv1.ConditionAvailable),
		Progressing: holds(disaggregatedsetv1.ConditionProgressing),
		Updating:    holds(disaggregatedsetv1.ConditionUpdateInProgress),
		Fail:        holds(disaggregatedsetv1.ConditionReplicaFailure),
	}
}
