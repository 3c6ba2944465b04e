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
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// CheckGranted fails the test unless the world, which has settled, is exactly what the LeaderWorkerSet asks for: its pods, all ready and
// of the latest template, its StatefulSets and Services, its status. It also has the operator look at everything again, which must
// not write anything.
func (w *World) CheckGranted(key types.NamespacedName) {
	w.t.Helper()
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, key)
	if lws == nil {
		w.fail("LeaderWorkerSet %s is gone", key)
	}
	w.compare("objects", wanted(lws), w.present())
	w.compare("status", wantedStatus(lws), actualStatus(lws))
	w.CheckHistory(key)
	w.checkIdle()
}

// CheckRolledOut fails the test if a group of an earlier revision is left in the world, which has settled, unless a group of the latest
// one isn't ready: then as many may be down as the budget allows, and nothing can be done about that.
func (w *World) CheckRolledOut(key types.NamespacedName) {
	w.t.Helper()
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, key)
	var old []string
	for _, group := range w.groupsOf(leaders) {
		switch latest := revisionOf(group.leader) == revisionOf(leaders); {
		case latest && !group.ready:
			return
		case !latest:
			old = append(old, group.leader.Name)
		}
	}
	w.compare("old groups", []string(nil), old)
}

// CheckGone fails the test unless nothing is left of any LeaderWorkerSet in the world, which has settled.
func (w *World) CheckGone() {
	w.t.Helper()
	w.compare("objects", []string(nil), w.present())
}

// CheckHistory fails the test if there are more revisions of a LeaderWorkerSet than those that are used and its history.
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
		w.fail("%d revisions, want no more than %d and the %d that are used", revisions, *lws.Spec.RevisionHistoryLimit, len(used))
	}
}

// checkIdle has a new run of the operator look at everything, as it is. An unchanged world gives no write.
func (w *World) checkIdle() {
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

// present are all objects of LeaderWorkerSets in words, but for nodes and revisions.
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
		words += fmt.Sprintf(", image %s, ready %t", object.Spec.Containers[0].Image, snapshot.PodReady(object))
	}
	if object.GetDeletionTimestamp() != nil {
		words += ", terminating"
	}
	return words
}

// wanted are the objects of a set, in the same words.
func wanted(lws *leaderworkersetv1.LeaderWorkerSet) []string {
	template := lws.Spec.LeaderWorkerTemplate
	leader := template.LeaderTemplate
	if leader == nil {
		leader = &template.WorkerTemplate
	}
	shared := *lws.Spec.NetworkConfig.SubdomainPolicy == leaderworkersetv1.SubdomainShared
	wanted := []string{fmt.Sprintf("StatefulSet %s, replicas %d, partition %d",
		lws.Name, *lws.Spec.Replicas, *lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition)}
	if shared {
		wanted = append(wanted, "Service "+lws.Name)
	}
	for group := range *lws.Spec.Replicas {
		name := identity.Leader(lws.Name, group)
		wanted = append(wanted, wantedPod(name, leader))
		if *template.Size > 1 {
			wanted = append(wanted, fmt.Sprintf("StatefulSet %s, replicas %d, partition 0", name, *template.Size-1))
		}
		if !shared {
			wanted = append(wanted, "Service "+name)
		}
		for worker := int32(1); worker < *template.Size; worker++ {
			wanted = append(wanted, wantedPod(identity.Worker(name, worker), &template.WorkerTemplate))
		}
	}
	slices.Sort(wanted)
	return wanted
}

func wantedPod(name string, template *corev1.PodTemplateSpec) string {
	return fmt.Sprintf("pod %s, image %s, ready true", name, template.Spec.Containers[0].Image)
}

// statusFacts are the parts of a status that the wish alone determines.
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
