// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"flag"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

var incarnationRounds = flag.Int("incarnation-rounds", 10,
	"how often TestLocalIncarnations fails all groups; 20 rounds take 2 minutes on 2 cores")

// TestLocalIncarnations fails all groups of a set, round by round. The operator is killed between the deletions of the
// pods of a group, and started again. No worker is created while one of an earlier incarnation exists, and each failure
// restarts its group exactly once. The StatefulSet controller creates a leader once the previous one is deleted: if the
// operator was killed in between, that leader isn't scheduled until the workers that are left are marked for deletion.
func TestLocalIncarnations(t *testing.T) {
	const groups, size = 50, 3
	namespace := newNamespace(t)
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
	lws := newSet(namespace, "again", groups, size, terminatesAfter("500ms"))
	names := podNames("again", groups, size)
	create(t, lws)
	untilAvailable(t, lws)

	torn, began := 0, time.Now()
	for round := range *incarnationRounds {
		before := pods.current(t)
		leaders := watchLeaders(t, namespace)
		failGroups(t, before, groups, round)
		untilTerminating(t, leaders, round)
		if err := suite.operator.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if countTorn(listed(t, podsIn(namespace)), before) > 0 {
			torn++
		}
		if err := suite.operator.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pods.until(t, func(state map[string]*corev1.Pod) error {
			for _, name := range names {
				if pod := state[name]; pod != nil && pod.UID == before[name].UID {
					return fmt.Errorf("%s is of an earlier round", name)
				}
			}
			return exactlyReady(names, image)(state)
		})
		untilAvailable(t, lws)
	}
	t.Logf("%d groups failed in each of %d rounds, in %.0f s; in %d rounds the operator was killed between the "+
		"deletions of one group", groups, *incarnationRounds, time.Since(began).Seconds(), torn)
	if torn < *incarnationRounds/2 {
		t.Error("the operator was mostly killed too late")
	}
	incarnations := pods.incarnations(t)
	for _, leader := range podNames("again", groups, 1) {
		if incarnations[leader] != *incarnationRounds+1 {
			t.Errorf("%s has had %d incarnations", leader, incarnations[leader])
		}
	}
	found := besideEarlier(pods.soFar(t), leadersOfWorkers(statefulSets.versions(t)))
	check(t, "workers beside those of an earlier incarnation", []string(nil), found.workers)
	check(t, "leaders beside running workers of an earlier incarnation", []string(nil), found.leaders)
	t.Logf("%d of %d leaders waited for workers of an earlier incarnation", found.waited, groups**incarnationRounds)
}

// failGroups deletes one pod of each group: its leader, its first or its last worker.
func failGroups(t *testing.T, pods map[string]*corev1.Pod, groups, round int) {
	t.Helper()
	workqueue.ParallelizeUntil(t.Context(), 16, groups, func(group int) {
		name := fmt.Sprintf("again-%d", group)
		if member := failingMember(group, round); member > 0 {
			name = fmt.Sprintf("%s-%d", name, member)
		}
		if err := suite.client.Delete(t.Context(), pods[name], client.Preconditions{UID: &pods[name].UID}); err != nil {
			t.Error(err)
		}
	})
}

// failingMember returns the worker index of the pod that fails in a group of 3. It changes with each round.
func failingMember(group, round int) int { return (group + round) % 3 }

// watchLeaders watches the leaders of a namespace until the test ends.
func watchLeaders(t *testing.T, namespace string) watch.Interface {
	t.Helper()
	stream, err := suite.client.Watch(t.Context(), &corev1.PodList{}, client.InNamespace(namespace),
		client.MatchingLabels{leaderworkersetv1.WorkerIndexLabelKey: "0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.Stop)
	return stream
}

// untilTerminating waits until the operator marks a leader for deletion whose worker has failed.
func untilTerminating(t *testing.T, leaders watch.Interface, round int) {
	t.Helper()
	late := time.After(deadline)
	for {
		select {
		case event := <-leaders.ResultChan():
			leader, ok := event.Object.(*corev1.Pod)
			if !ok {
				t.Fatalf("the API server ended the watch: %v", event.Object)
			}
			if leader.DeletionTimestamp != nil && failingMember(groupIndex(leader), round) > 0 {
				return
			}
		case <-late:
			t.Fatal("no leader is terminating")
		}
	}
}

// countTorn counts the groups with pods of both kinds: marked for deletion and not. before has the pods by name.
func countTorn(pods []*corev1.Pod, before map[string]*corev1.Pod) int {
	marked, unmarked := map[int]bool{}, map[int]bool{}
	for _, pod := range pods {
		switch group := groupIndex(pod); {
		case pod.UID != before[pod.Name].UID:
		case pod.DeletionTimestamp == nil:
			unmarked[group] = true
		case isLeader(pod):
			marked[group] = true
		}
	}
	torn := 0
	for group := range marked {
		if unmarked[group] {
			torn++
		}
	}
	return torn
}

// leadersOfWorkers returns the UIDs of the leaders that the worker StatefulSets belonged to, by the UIDs of those.
func leadersOfWorkers(statefulSets []*appsv1.StatefulSet) map[types.UID]types.UID {
	leaders := map[types.UID]types.UID{}
	for _, sts := range statefulSets {
		if owner := metav1.GetControllerOf(sts); owner != nil && owner.Kind == "Pod" {
			leaders[sts.UID] = owner.UID
		}
	}
	return leaders
}

// beside is what the pods of incarnations did beside those of earlier ones.
type beside struct {
	// workers are new workers beside a worker of an earlier incarnation, terminating or not.
	workers []string

	// leaders are leaders beside a worker of an earlier incarnation while neither was marked for deletion, unless the
	// leader waited. waited is how many leaders did.
	leaders []string
	waited  int
}

// besideEarlier looks at each change of a pod. leaders has the UID of each worker StatefulSet's leader.
func besideEarlier(changes []change[*corev1.Pod], leaders map[types.UID]types.UID) beside {
	found, waited := beside{}, map[types.UID]bool{}
	incarnation := func(worker *corev1.Pod) types.UID { return leaders[metav1.GetControllerOf(worker).UID] }
	groups := map[string]map[string]*corev1.Pod{}
	for _, change := range changes {
		index := change.object.Labels[leaderworkersetv1.GroupIndexLabelKey]
		if groups[index] == nil {
			groups[index] = map[string]*corev1.Pod{}
		}
		group := groups[index]
		change.apply(group)
		leader := group["again-"+index]
		for _, worker := range group {
			switch {
			case isLeader(worker):
			case change.kind == watch.Added && !isLeader(change.object) && incarnation(worker) != incarnation(change.object):
				found.workers = append(found.workers, fmt.Sprintf("%s beside %s", change.object.Name, worker.Name))
			case leader == nil || leader.DeletionTimestamp != nil || worker.DeletionTimestamp != nil:
			case incarnation(worker) == leader.UID:
			case len(leader.Spec.SchedulingGates) > 0:
				waited[leader.UID] = true
			default:
				found.leaders = append(found.leaders, fmt.Sprintf("%s beside %s", leader.Name, worker.Name))
			}
		}
	}
	found.waited = len(waited)
	return found
}
