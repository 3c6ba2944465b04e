// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// lives are the lives of all groups as they really are. They say when the operator may recreate a group, and when it has to.
//
// A life begins with a leader pod and ends when that is marked for deletion. A group that fails is recreated exactly once:
//
//   - At most once: the operator takes a group down only if a pod of this very life has failed, or if a rollout let the group go. What
//     happens to the pods of an earlier life is no reason, and nor is a second failure while the first one is being cured: by then the
//     life has ended. This holds at every step, however late the cache is.
//   - At least once: no life that has failed is there when the world is at rest, nor is any pod of it. The operator can't know of a
//     group that it hasn't seen complete, though: a pod that went and came back before it looked was never there. What counts is
//     what users can rely on: once the status has told, from a view in which the life was ready, that all groups are ready, every
//     failure counts, even if the operator ends in the same moment and stays away. It also counts once the world has been at rest.
//
// A group that has used up its restarts stays as it is, and the condition Failed tells so.
type lives struct {
	byLeader  map[types.UID]*life // by the UID of the leader pod
	byWorkers map[types.UID]*life // by that of the worker StatefulSet
	byPod     map[types.UID]*life // by those of all pods
}

// life is one life of a group.
type life struct {
	set  types.NamespacedName
	size int32
	pods map[types.UID]types.NamespacedName // that it ever had, the leader's included

	complete bool // all its pods were there at once, and have started if the restart policy waits for that
	known    bool // the operator has to know that it was complete
	ended    bool

	failure string // the first reason to recreate the group; empty if there is none
	counts  bool   // a failure has happened since the life was known
}

func newLives() lives {
	return lives{byLeader: map[types.UID]*life{}, byWorkers: map[types.UID]*life{}, byPod: map[types.UID]*life{}}
}

// followLives looks at a change after it has been checked.
func (w *World) followLives(change Change) {
	switch change.Kind {
	case kindLeaderWorkerSet:
		if lws, ok := change.New.(*leaderworkersetv1.LeaderWorkerSet); ok && w.writing != nil &&
			meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionAvailable) {
			w.lives.tell(w.writing.saw)
		}
	case kindStatefulSet:
		w.followWorkers(change)
	case kindPod:
		w.followPod(change)
	}
}

// tell has the lives that were ready be known.
func (l *lives) tell(ready readyGroups) {
	for leader, isReady := range ready {
		if life := l.byLeader[leader]; isReady && life != nil && life.complete {
			life.known = true
		}
	}
}

// followWorkers has a worker StatefulSet be part of its leader's life. One that goes without its leader is a failure.
func (w *World) followWorkers(change Change) {
	if sts, ok := change.New.(*appsv1.StatefulSet); ok && change.Old == nil {
		if owner := metav1.GetControllerOf(sts); owner != nil && w.lives.byLeader[owner.UID] != nil {
			w.lives.byWorkers[sts.UID] = w.lives.byLeader[owner.UID]
		}
		return
	}
	life := w.lives.byWorkers[change.Old.GetUID()]
	if life != nil && (change.New == nil || change.New.GetDeletionTimestamp() != nil || metav1.GetControllerOf(change.New) == nil) {
		w.fails(life, "its worker StatefulSet goes")
	}
}

// followPod has a pod be part of its leader's life, and looks for failures.
func (w *World) followPod(change Change) {
	if pod, ok := change.New.(*corev1.Pod); ok && change.Old == nil {
		w.lives.add(pod)
		w.createdWithoutWebhook(pod)
	}
	object := change.New
	if object == nil {
		object = change.Old
	}
	life := w.lives.byPod[object.GetUID()]
	if life == nil || life.ended {
		return
	}
	if life == w.lives.byLeader[object.GetUID()] && goes(change) {
		life.ended = true
		return
	}
	if why := failure(change, life.complete); why != "" {
		w.fails(life, "pod "+object.GetName()+" "+why)
	}
	life.complete = life.complete || w.isComplete(life)
}

// add has a new pod be part of a life: a leader begins one.
func (l *lives) add(pod *corev1.Pod) {
	owner := metav1.GetControllerOf(pod)
	set := pod.Labels[leaderworkersetv1.SetNameLabelKey]
	if owner == nil || set == "" {
		return
	}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" {
		l.byLeader[pod.UID] = &life{set: at(pod, set), size: snapshot.LeaderSize(pod), pods: map[types.UID]types.NamespacedName{}}
		l.byPod[pod.UID] = l.byLeader[pod.UID]
	} else if life := l.byWorkers[owner.UID]; life != nil {
		l.byPod[pod.UID] = life
	}
	if life := l.byPod[pod.UID]; life != nil {
		life.pods[pod.UID] = client.ObjectKeyFromObject(pod)
	}
}

// goes says whether the object goes, or begins to, by the change.
func goes(change Change) bool {
	return change.Old != nil && change.Old.GetDeletionTimestamp() == nil &&
		(change.New == nil || change.New.GetDeletionTimestamp() != nil)
}

// failure is how the pod fails by the change; empty if it doesn't. Restarts from before the group was complete don't count.
func failure(change Change, complete bool) string {
	before, existed := change.Old.(*corev1.Pod)
	after, exists := change.New.(*corev1.Pod)
	switch {
	case goes(change):
		return "goes"
	case !existed || !exists:
		return ""
	case before.Status.Phase != corev1.PodFailed && after.Status.Phase == corev1.PodFailed:
		return "has failed"
	case complete && restart.MemberOf(after).Restarts > restart.MemberOf(before).Restarts:
		return "had a restart"
	default:
		return ""
	}
}

// fails has a life fail, as far as its restart policy minds.
func (w *World) fails(life *life, why string) {
	policy := w.restartPolicy(life)
	if policy == "" || policy == leaderworkersetv1.NoneRestartPolicy ||
		(policy == leaderworkersetv1.RecreateGroupAfterStart && !life.complete) || life.ended {
		return
	}
	if life.failure == "" {
		life.failure = why
	}
	life.counts = life.counts || life.known
}

// restartPolicy is that of a life's set; empty if that is gone or going.
func (w *World) restartPolicy(life *life) leaderworkersetv1.RestartPolicyType {
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, life.set)
	if lws == nil || lws.DeletionTimestamp != nil {
		return ""
	}
	return lws.RestartPolicy()
}

// isComplete says whether all pods of a life are there now, and have started if the restart policy waits for that.
func (w *World) isComplete(life *life) bool {
	count := int32(0)
	for uid, key := range life.pods {
		pod := getOf[*corev1.Pod](w.API, kindPod, key)
		started := pod != nil && (pod.Status.Phase == corev1.PodRunning || w.restartPolicy(life) != leaderworkersetv1.RecreateGroupAfterStart)
		if started && pod.UID == uid && pod.DeletionTimestamp == nil {
			count++
		}
	}
	return count == life.size
}

// hasFailed says whether a pod of the leader's group has failed in this life.
func (l *lives) hasFailed(leader *corev1.Pod) bool {
	life := l.byLeader[leader.UID]
	return life != nil && life.failure != ""
}

// checkLives: at rest, no group that has failed is still there, nor is any pod of one that was taken down. From here on, the operator
// knows all groups.
func (w *World) checkLives() {
	w.t.Helper()
	if w.run == nil {
		return
	}
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		life := w.lives.byPod[pod.UID]
		switch {
		case life == nil || pod.DeletionTimestamp != nil || w.restartPolicy(life) == "":
		case life.ended:
			w.fail("pod %s is there without the leader that it was made for", pod.Name)
		case life.counts && !w.mayStayFailed(life):
			w.fail("pod %s is of a group that has failed: %s", pod.Name, life.failure)
		default:
			life.known = life.complete
		}
	}
}

// mayStayFailed says whether groups of the life's set may have used up their restarts.
func (w *World) mayStayFailed(life *life) bool {
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, life.set)
	return lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts != nil &&
		meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionFailed)
}
