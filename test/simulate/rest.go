// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// CheckReconciled fails the test unless the world, which is at rest, is exactly what the LeaderWorkerSet asks for. It
// compares the StatefulSets, the Services, the status, and the pods, which are ready and of the latest template. It
// also restarts the operator, which must write nothing.
func (w *World) CheckReconciled(key types.NamespacedName) {
	w.t.Helper()
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, key)
	if lws == nil {
		w.fail("LeaderWorkerSet %s doesn't exist", key)
	}
	w.compare("objects", wanted(lws), w.present())
	w.compare("status", wantedStatus(lws), actualStatus(lws))
	w.CheckHistory(key)
	w.CheckIdle()
}

// CheckRolledOut fails the test if a group of an earlier revision is left in the world, which is at rest. Earlier
// groups may be left if a group of the latest revision isn't ready: that group can use up the budget.
func (w *World) CheckRolledOut(key types.NamespacedName) {
	w.t.Helper()
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, key)
	var outdated []string
	for _, group := range w.groupsOf(leaders) {
		switch latest := revisionOf(group.leader) == revisionOf(leaders); {
		case latest && !group.ready:
			return
		case !latest:
			outdated = append(outdated, group.leader.Name)
		}
	}
	w.compare("outdated groups", []string(nil), outdated)
}

// CheckDeleted fails the test if an object of a LeaderWorkerSet is left in the world, which is at rest.
func (w *World) CheckDeleted() {
	w.t.Helper()
	w.compare("objects", []string(nil), w.present())
}

// CheckHistory fails the test if a LeaderWorkerSet has more revisions than those in use and its history limit.
func (w *World) CheckHistory(key types.NamespacedName) {
	w.t.Helper()
	used, revisions, latest := map[string]bool{}, 0, &appsv1.ControllerRevision{}
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, key)
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, key)
	for _, group := range w.groupsOf(leaders) {
		used[revisionOf(group.leader)] = true
	}
	for _, revision := range listOf[*appsv1.ControllerRevision](w.API, kindControllerRevision) {
		if revision.Name == leaders.Status.CurrentRevision {
			used[revisionOf(revision)] = true
		}
		if metav1.IsControlledBy(revision, lws) {
			revisions++
			if revision.Revision > latest.Revision {
				latest = revision
			}
		}
	}
	used[revisionOf(latest)] = true
	if most := int(*lws.Spec.RevisionHistoryLimit) + len(used); revisions > most {
		w.fail("%d revisions, want no more than %d and the %d in use", revisions, *lws.Spec.RevisionHistoryLimit, len(used))
	}
}

// CheckIdle fails the test if the operator writes after a restart: an unchanged world gives no write.
func (w *World) CheckIdle() {
	w.t.Helper()
	before := w.API.count
	restarted := w.restarts
	w.restarts = maxRestarts
	w.Restart()
	w.Settle()
	w.restarts = restarted
	if w.API.count != before {
		w.fail("the operator writes in a world at rest")
	}
}

func (w *World) compare(what string, want, got any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.fail("%s at rest (-want +got):\n%s", what, diff)
	}
}

// present returns all StatefulSets, Services and pods, in words.
func (w *World) present() []string {
	var present []string
	for _, kind := range []string{kindStatefulSet, kindService, kindPod} {
		for _, object := range w.API.List(kind) {
			present = append(present, words(object))
		}
	}
	slices.Sort(present)
	return present
}

func words(object client.Object) string {
	words := noun(object) + " " + object.GetName()
	switch object := object.(type) {
	case *appsv1.StatefulSet:
		words += fmt.Sprintf(", replicas %d, partition %d", *object.Spec.Replicas, partitionOf(object))
	case *corev1.Pod:
		words += fmt.Sprintf(", image %s, ready %t", object.Spec.Containers[0].Image, podIsReady(object))
	}
	if object.GetDeletionTimestamp() != nil {
		words += ", terminating"
	}
	return words
}

// wanted returns the objects of a set, in the same words.
func wanted(lws *leaderworkersetv1.LeaderWorkerSet) []string {
	template := lws.Spec.LeaderWorkerTemplate
	leader := leaderTemplateOf(&template)
	shared := *lws.Spec.NetworkConfig.SubdomainPolicy == leaderworkersetv1.SubdomainShared
	wanted := []string{fmt.Sprintf("StatefulSet %s, replicas %d, partition %d",
		lws.Name, *lws.Spec.Replicas, *lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition)}
	if shared {
		wanted = append(wanted, "Service "+lws.Name)
	}
	for group := range *lws.Spec.Replicas {
		name := joined(lws.Name, group)
		wanted = append(wanted, wantedPod(name, leader))
		if *template.Size > 1 {
			wanted = append(wanted, fmt.Sprintf("StatefulSet %s, replicas %d, partition 0", name, *template.Size-1))
		}
		if !shared {
			wanted = append(wanted, "Service "+name)
		}
		for worker := int32(1); worker < *template.Size; worker++ {
			wanted = append(wanted, wantedPod(joined(name, worker), &template.WorkerTemplate))
		}
	}
	slices.Sort(wanted)
	return wanted
}

func wantedPod(name string, template *corev1.PodTemplateSpec) string {
	return fmt.Sprintf("pod %s, image %s, ready true", name, template.Spec.Containers[0].Image)
}

// statusFacts are the parts of a status that follow from the spec alone.
type statusFacts struct {
	Observed                         int64
	Replicas, Ready, Updated         int32
	Available, Progressing, Updating bool
	Failing                          bool
}

func wantedStatus(lws *leaderworkersetv1.LeaderWorkerSet) statusFacts {
	replicas := *lws.Spec.Replicas
	return statusFacts{Observed: lws.Generation, Replicas: replicas, Ready: replicas, Updated: replicas, Available: true}
}

func actualStatus(lws *leaderworkersetv1.LeaderWorkerSet) statusFacts {
	holds := func(condition string) bool { return meta.IsStatusConditionTrue(lws.Status.Conditions, condition) }
	return statusFacts{
		Observed:    lws.Status.ObservedGeneration,
		Replicas:    lws.Status.Replicas,
		Ready:       lws.Status.ReadyReplicas,
		Updated:     lws.Status.UpdatedReplicas,
		Available:   holds(leaderworkersetv1.ConditionAvailable),
		Progressing: holds(leaderworkersetv1.ConditionProgressing),
		Updating:    holds(leaderworkersetv1.ConditionUpdateInProgress),
		Failing:     holds(leaderworkersetv1.ConditionReplicaFailure),
	}
}
