// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// incarnation is one incarnation of a group.
type incarnation struct {
	set    types.NamespacedName
	index  int
	leader *corev1.Pod
	pods   map[types.UID]bool
	// completeAt is when all pods were ready for the first time. readySince is zero while the group isn't ready, and
	// unreadySince while it is.
	completeAt, readySince, unreadySince time.Time
	// failure says what has failed. certain is true if the operator must have known the group before.
	failure  string
	failedAt time.Time
	certain  bool
	// ended is true once the leader is deleted, at endedAt. blind is true after a gap.
	ended, blind bool
	endedAt      time.Time
}

// observePod follows a pod.
func (j *Judge) observePod(e Event, latest *corev1.Pod) {
	key := types.NamespacedName{Namespace: latest.Namespace, Name: latest.Labels[leaderworkersetv1.SetNameLabelKey]}
	if key.Name == "" {
		return
	}
	if e.After == nil {
		delete(j.pods, latest.UID)
		j.note(e.At, key, "pod %s (%.8s) is gone", latest.Name, latest.UID)
	} else {
		j.pods[latest.UID] = latest
	}
	if e.Before == nil {
		j.note(e.At, key, "pod %s (%.8s) is created, image %s", latest.Name, latest.UID, latest.Spec.Containers[0].Image)
		j.begin(e, key, latest)
		j.join(e.At, latest)
	}
	if group := j.incarnationOf(latest); group != nil && !group.ended {
		group.blind = group.blind || (e.Gap && e.Before != nil)
		j.change(e, group, latest)
	}
}

// change follows a change of a pod of an incarnation.
func (j *Judge) change(e Event, group *incarnation, latest *corev1.Pod) {
	marked := e.After == nil || latest.DeletionTimestamp != nil
	isLeader := latest.UID == group.leader.UID
	before, _ := e.Before.(*corev1.Pod)
	switch {
	case marked && isLeader:
		j.end(e.At, group, latest)
		return
	case marked:
		j.failed(e.At, group, "pod "+latest.Name+" is deleted")
	case latest.Status.Phase == corev1.PodFailed:
		j.failed(e.At, group, "pod "+latest.Name+" has failed")
	case before != nil && restarts(latest) > restarts(before):
		j.failed(e.At, group, "a container of "+latest.Name+" has restarted")
	}
	if isLeader {
		group.leader = latest
	}
	j.updateReady(e.At, group)
}

// updateReady follows whether a group is ready.
func (j *Judge) updateReady(at time.Time, group *incarnation) {
	ready, wasReady := j.ready(group), !group.readySince.IsZero()
	switch {
	case ready && !wasReady:
		group.readySince, group.unreadySince = at, time.Time{}
		if group.completeAt.IsZero() {
			group.completeAt = at
		}
		j.note(at, group.set, "group %d is ready", group.index)
	case !ready && wasReady:
		group.readySince, group.unreadySince = time.Time{}, at
		j.affect(group)
		j.note(at, group.set, "group %d isn't ready", group.index)
	}
}

// affect counts a group that stops being ready.
func (j *Judge) affect(group *incarnation) {
	j.affected[fmt.Sprintf("%s-%d", group.set, group.index)] = true
}

// begin begins an incarnation with a leader.
func (j *Judge) begin(e Event, key types.NamespacedName, pod *corev1.Pod) {
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] != "0" {
		return
	}
	index, err := strconv.Atoi(pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
	if err != nil {
		return
	}
	group := &incarnation{set: key, index: index, leader: pod, pods: map[types.UID]bool{pod.UID: true}}
	j.groups[pod.UID] = group
	if from, o := j.viewFrom(e.At), j.objectOf(group); !e.Gap {
		j.later(e.At, func() { j.decideCreation(cmp.Or(o, j.objectOf(group)), group, from, e.At) })
	}
}

// join adds a worker to the incarnation of its leader, and judges whether the two belong together.
func (j *Judge) join(at time.Time, pod *corev1.Pod) {
	group := j.incarnationOf(pod)
	if group == nil || group.pods[pod.UID] {
		return
	}
	group.pods[pod.UID] = true
	if identityOf(pod) != identityOf(group.leader) {
		j.fail(group.set, "worker %s is %v, its leader %v", pod.Name, identityOf(pod), identityOf(group.leader))
	}
	if j.createdLate(at, group, pod) {
		j.late[pod.UID] = true
	} else if old := j.otherPods(group); len(old) > 0 && !group.blind {
		j.fail(group.set, "worker %s is created beside %s of another incarnation", pod.Name, strings.Join(old, ", "))
	}
	if pod.DeletionTimestamp != nil && !group.ended {
		j.failed(at, group, "pod "+pod.Name+" is deleted")
	}
}

// createdLate reports whether a late view created a worker of an incarnation that has ended, and the view was no later
// than views may be. During a fault, the StatefulSet controller may not see that a StatefulSet is gone. It creates the
// pods again, and the garbage collector deletes them. The operator never creates a StatefulSet that late.
func (j *Judge) createdLate(at time.Time, group *incarnation, worker *corev1.Pod) bool {
	if group.ended && at.Sub(group.endedAt) <= Lag {
		return true
	}
	owner := metav1.GetControllerOf(worker)
	if owner == nil {
		return false
	}
	gone, ok := j.gone[owner.UID]
	return ok && !gone.Before(j.viewFrom(at))
}

// otherPods returns the names of pods that exist of other incarnations of a group. It leaves out pods that a late view
// created, since nobody could wait for them.
func (j *Judge) otherPods(group *incarnation) []string {
	var names []string
	for _, other := range j.groups {
		if other == group || other.set != group.set || other.index != group.index || other.blind {
			continue
		}
		for uid := range other.pods {
			if pod := j.pods[uid]; pod != nil && !j.late[uid] {
				names = append(names, fmt.Sprintf("%s (%.8s)", pod.Name, uid))
			}
		}
	}
	slices.Sort(names)
	return names
}

// identity is what all pods of a group have in common.
type identity struct{ revision, size, image string }

func identityOf(pod *corev1.Pod) identity {
	return identity{
		pod.Labels[leaderworkersetv1.RevisionLabelKey], pod.Annotations[leaderworkersetv1.SizeAnnotationKey],
		pod.Spec.Containers[0].Image,
	}
}

// incarnationOf returns the incarnation of a pod; nil while it isn't known.
func (j *Judge) incarnationOf(pod *corev1.Pod) *incarnation {
	if group := j.groups[pod.UID]; group != nil {
		return group
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return j.groups[j.leaders[owner.UID]]
	}
	return nil
}

// failed records the first failure of an incarnation.
func (j *Judge) failed(at time.Time, group *incarnation, why string) {
	if group.failure != "" {
		return
	}
	group.failure, group.failedAt = why, at
	group.certain = !group.blind && !group.completeAt.IsZero() && group.completeAt.Before(j.viewFrom(at))
	j.note(at, group.set, "group %d fails: %s", group.index, why)
}

// end ends an incarnation when its leader is deleted, and has the deletion judged if nothing has failed.
func (j *Judge) end(at time.Time, group *incarnation, leader *corev1.Pod) {
	j.note(at, group.set, "leader %s (%.8s) is deleted", leader.Name, leader.UID)
	from := j.viewFrom(at)
	d := deletion{
		at: at, from: from, group: group, object: j.objectOf(group), staying: j.staying(group, from),
		ready: !group.readySince.IsZero() && group.readySince.Before(from),
	}
	if !group.readySince.IsZero() {
		j.affect(group)
	}
	group.ended, group.endedAt, group.readySince = true, at, time.Time{}
	if excuse := j.excused[leader.UID]; excuse != "" {
		j.failed(at, group, excuse)
	} else if disrupted(leader) {
		j.failed(at, group, "pod "+leader.Name+" is disrupted")
	}
	if group.failure == "" && !group.blind {
		j.later(at, func() { j.decideDeletion(d) })
	}
}

// staying counts the other groups of a set that are ready, or that a controller may think ready.
func (j *Judge) staying(group *incarnation, from time.Time) int {
	count := 0
	for _, other := range j.groups {
		if other == group || other.set != group.set {
			continue
		}
		if !other.ended && (!other.readySince.IsZero() || other.unreadySince.After(from)) || other.failedAt.After(from) {
			count++
		}
	}
	return count
}

// ready reports whether all pods of an incarnation are ready.
func (j *Judge) ready(group *incarnation) bool {
	count := 0
	for uid := range group.pods {
		if pod := j.pods[uid]; pod != nil && podReady(pod) {
			count++
		}
	}
	return strconv.Itoa(count) == group.leader.Annotations[leaderworkersetv1.SizeAnnotationKey]
}

// exists reports whether any pod of an incarnation exists.
func (j *Judge) exists(group *incarnation) bool {
	for uid := range group.pods {
		if j.pods[uid] != nil {
			return true
		}
	}
	return false
}

// objectOf returns the LeaderWorkerSet that controls the leader StatefulSet of a group, or did last; nil if it isn't
// known. Later it can be another one, which has adopted the StatefulSet.
func (j *Judge) objectOf(group *incarnation) *object {
	owner := metav1.GetControllerOf(group.leader)
	if owner == nil {
		return nil
	}
	return j.setOf(group.set).objects[j.owners[owner.UID]]
}

func disrupted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	})
}

func restarts(pod *corev1.Pod) int32 {
	count := int32(0)
	for i := range pod.Status.ContainerStatuses {
		count += pod.Status.ContainerStatuses[i].RestartCount
	}
	return count
}
