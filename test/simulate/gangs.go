// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// podGroupFinalizer is on every PodGroup, until it is deleted and no pod refers to it that hasn't ended.
const podGroupFinalizer = "scheduling.k8s.io/podgroup-protection"

// podGroupOf returns the name of the PodGroup of a pod; empty if it has none.
func podGroupOf(pod *corev1.Pod) string {
	if pod.Spec.SchedulingGroup == nil {
		return ""
	}
	return *pod.Spec.SchedulingGroup.PodGroupName
}

// minCountOf returns how many pods a PodGroup schedules at the same time; 0 if it isn't a gang.
func minCountOf(podGroup *unstructured.Unstructured) int {
	count, _, _ := unstructured.NestedInt64(podGroup.Object, "spec", "schedulingPolicy", "gang", "minCount")
	return int(count)
}

// podsByPodGroup returns the pods that refer to PodGroups, by their names. Terminating pods are among them, as for the
// real scheduler.
func (w *World) podsByPodGroup() map[types.NamespacedName][]*corev1.Pod {
	members := map[types.NamespacedName][]*corev1.Pod{}
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		if name := podGroupOf(pod); name != "" {
			members[at(pod, name)] = append(members[at(pod, name)], pod)
		}
	}
	return members
}

// gangActions returns what the scheduler can do for the pods of PodGroups. It holds pods until their PodGroup exists,
// and until as many of its pods exist as have to be scheduled at the same time. It counts terminating pods.
func (s *scheduler) gangActions() []action {
	var actions []action
	members := s.world.podsByPodGroup()
	for _, key := range slices.SortedFunc(maps.Keys(members), compareKeys) {
		pods := members[key]
		podGroup := getOf[*unstructured.Unstructured](s.world.API, kindPodGroup, key)
		if podGroup == nil || len(pods) < minCountOf(podGroup) {
			continue
		}
		if do := s.placeGang(podGroup, pods); do != nil {
			actions = append(actions, do)
		}
	}
	return actions
}

// placeGang returns the placement of all pods of a PodGroup that have a node to go to, if they are enough together with
// those that have been placed. Else it reports them.
func (s *scheduler) placeGang(podGroup *unstructured.Unstructured, pods []*corev1.Pod) action {
	podsOn, nodes := s.podsOn(), map[types.UID]string{}
	var waiting []*corev1.Pod
	placed := 0
	for _, pod := range pods {
		if pod.Spec.NodeName != "" {
			placed++
		}
		if !isSchedulable(pod) {
			continue
		}
		waiting = append(waiting, pod)
		if node := s.nodeFor(pod, podsOn); node != "" {
			podsOn[node]++
			nodes[pod.UID] = node
		}
	}
	if len(nodes) > 0 && placed+len(nodes) >= minCountOf(podGroup) {
		return func() {
			for _, pod := range waiting {
				if node := nodes[pod.UID]; node != "" {
					s.bind(pod, node)
				}
			}
		}
	}
	waiting = slices.DeleteFunc(waiting, isUnschedulable)
	if len(waiting) == 0 || s.world.room == 0 {
		return nil
	}
	return func() { s.report(waiting[0]) }
}

// podGroupController removes the finalizer of deleted PodGroups.
type podGroupController struct{ world *World }

func (c *podGroupController) actions() []action {
	var actions []action
	members := c.world.podsByPodGroup()
	for _, podGroup := range listOf[*unstructured.Unstructured](c.world.API, kindPodGroup) {
		hasPods := slices.ContainsFunc(members[client.ObjectKeyFromObject(podGroup)], func(pod *corev1.Pod) bool {
			return pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
		})
		if podGroup.GetDeletionTimestamp() != nil && !hasPods && len(podGroup.GetFinalizers()) > 0 {
			actions = append(actions, func() {
				update(c.world.API, podGroup, func(podGroup *unstructured.Unstructured) {
					isIt := func(finalizer string) bool { return finalizer == podGroupFinalizer }
					podGroup.SetFinalizers(slices.DeleteFunc(podGroup.GetFinalizers(), isIt))
				})
			})
		}
	}
	return actions
}

// checkPodGroup checks a new PodGroup: its incarnation has no other one.
func (w *World) checkPodGroup(podGroup *unstructured.Unstructured) {
	w.t.Helper()
	leader := podGroup.GetAnnotations()[leaderworkersetv1.LeaderUIDAnnotationKey]
	for _, other := range listOf[*unstructured.Unstructured](w.API, kindPodGroup) {
		same := other.GetAnnotations()[leaderworkersetv1.LeaderUIDAnnotationKey] == leader
		if same && other.GetUID() != podGroup.GetUID() {
			w.fail("the incarnation of leader %s has the PodGroups %s and %s", leader, other.GetName(), podGroup.GetName())
		}
	}
}

// checkMember checks a new pod of a set of gangs: a leader has a PodGroup that no other leader ever had, and a worker
// has that of its leader.
func (w *World) checkMember(pod *corev1.Pod) {
	w.t.Helper()
	name := podGroupOf(pod)
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != kindStatefulSet || w.API.uninjected[pod.UID] {
		return
	}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" {
		if first := w.gangLeaders[name]; name != "" && first != "" && first != pod.UID {
			w.fail("leader %s is in PodGroup %s of an earlier incarnation", pod.Name, name)
		}
		w.gangLeaders[name] = pod.UID
		return
	}
	workers := getOf[client.Object](w.API, kindStatefulSet, at(pod, owner.Name))
	if workers == nil || workers.GetUID() != owner.UID {
		return
	}
	reference := metav1.GetControllerOf(workers)
	leader := getOf[*corev1.Pod](w.API, kindPod, at(pod, owner.Name))
	if leader == nil || reference == nil || leader.UID != reference.UID {
		return
	}
	whole := leader.Annotations[leaderworkersetv1.SchedulingGroupAnnotationKey] == "replica"
	if whole && podGroupOf(leader) != name {
		w.fail("worker %s is in PodGroup %q, its leader in %q", pod.Name, name, podGroupOf(leader))
	}
}

// checkGangs checks a world at rest: each PodGroup belongs to a leader that is there, each pod's PodGroup exists, the
// scheduler waits for no pod that nobody creates, and no gang has only a part of its pods on nodes.
func (w *World) checkGangs() {
	w.t.Helper()
	members := w.podsByPodGroup()
	pods := listOf[*corev1.Pod](w.API, kindPod)
	for _, podGroup := range listOf[*unstructured.Unstructured](w.API, kindPodGroup) {
		leader := podGroup.GetAnnotations()[leaderworkersetv1.LeaderUIDAnnotationKey]
		isLeader := func(pod *corev1.Pod) bool { return string(pod.UID) == leader }
		if !slices.ContainsFunc(pods, isLeader) && !w.isStuck(podGroup) {
			w.fail("PodGroup %s is left over at rest", podGroup.GetName())
		}
	}
	for key, pods := range members {
		podGroup := getOf[*unstructured.Unstructured](w.API, kindPodGroup, key)
		onNodes := 0
		for _, pod := range pods {
			if pod.Spec.NodeName != "" {
				onNodes++
			}
		}
		switch {
		case w.hasNoSet(pods[0]):
		case podGroup == nil && onNodes < len(pods):
			w.fail("pod %s waits for PodGroup %s, which doesn't exist at rest", pods[0].Name, key.Name)
		case podGroup == nil:
		case len(pods) < minCountOf(podGroup) && onNodes < len(pods):
			w.fail("the scheduler waits for %d pods of PodGroup %s, of which %d exist at rest",
				minCountOf(podGroup), key.Name, len(pods))
		case onNodes > 0 && onNodes < minCountOf(podGroup):
			w.fail("%d pods of PodGroup %s are on nodes at rest, of %d", onNodes, key.Name, minCountOf(podGroup))
		}
	}
}

// hasNoSet reports whether the set of a pod was deleted, without the pod.
func (w *World) hasNoSet(pod *corev1.Pod) bool {
	return w.API.Get(kindLeaderWorkerSet, at(pod, pod.Labels[leaderworkersetv1.SetNameLabelKey])) == nil
}

// isStuck reports whether nobody has to delete a PodGroup: its set was deleted without it, or its pods can't end.
func (w *World) isStuck(podGroup *unstructured.Unstructured) bool {
	set := podGroup.GetLabels()[leaderworkersetv1.SetNameLabelKey]
	return podGroup.GetDeletionTimestamp() != nil || w.API.Get(kindLeaderWorkerSet, at(podGroup, set)) == nil
}
