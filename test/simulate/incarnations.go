// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// incarnations are those of all groups as they really are. They say when the operator may restart a group, and when it
// has to.
//
// An incarnation begins with a leader pod and ends when that pod is marked for deletion. A group that fails is
// restarted exactly once:
//
//   - At most once: the operator deletes a group only if a pod of this incarnation failed, or if a rollout released the
//     group. Pods of an earlier incarnation are no reason. A second failure during the restart is none either: the
//     incarnation has ended by then. This holds at every step, however late the cache is.
//   - At least once: no failed incarnation, and no pod of one, is left when the world is at rest. The operator can't
//     know of a group that it hasn't seen complete, though: a pod may be replaced before the operator looks. So this
//     counts from when users can rely on it. That is once a status says that all groups are ready, from a view in which
//     the group was ready. From then on every failure counts, even if the operator ends right then and stays away. It
//     also counts once the world has been at rest.
//
// A group that has no restarts left stays as it is, and the condition Degraded says so. A leader may ask for a restart
// of its group.
type incarnations struct {
	byLeader  map[types.UID]*incarnation // by the UID of the leader pod
	byWorkers map[types.UID]*incarnation // by the UID of the worker StatefulSet
	byPod     map[types.UID]*incarnation // by the UIDs of all pods
}

// incarnation is one incarnation of a group.
type incarnation struct {
	set  types.NamespacedName
	size int32
	pods map[types.UID]types.NamespacedName // all that it ever had, the leader included

	complete bool // all its pods existed at once, and had started if the restart policy waits for that
	known    bool // the operator has to know that it was complete
	ended    bool
	byOthers bool // somebody other than the operator ended it
	counted  *run // that has counted its restart; nil for none

	failure string // the first reason to restart the group; empty if there is none
	counts  bool   // a failure happened when the incarnation was known

	// unmarked is how long pods have outlived the leader without being marked for deletion, by their UIDs.
	unmarked map[types.UID]time.Duration
}

func newIncarnations() incarnations {
	return incarnations{
		byLeader:  map[types.UID]*incarnation{},
		byWorkers: map[types.UID]*incarnation{},
		byPod:     map[types.UID]*incarnation{},
	}
}

// followIncarnations handles a change after it has been checked.
func (w *World) followIncarnations(change Change) {
	switch change.Kind {
	case kindLeaderWorkerSet:
		if lws, ok := change.New.(*leaderworkersetv1.LeaderWorkerSet); ok && w.writing != nil &&
			meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionAvailable) {
			w.incarnations.markKnown(w.writing.ready)
		}
	case kindStatefulSet:
		w.followWorkers(change)
	case kindPod:
		w.followPod(change)
	}
}

// markKnown marks the complete incarnations of ready groups as known.
func (i *incarnations) markKnown(ready readyGroups) {
	for leader, isReady := range ready {
		if incarnation := i.byLeader[leader]; isReady && incarnation != nil && incarnation.complete {
			incarnation.known = true
		}
	}
}

// followWorkers adds a new worker StatefulSet to its leader's incarnation. Its deletion without the leader is a
// failure.
func (w *World) followWorkers(change Change) {
	if sts, ok := change.New.(*appsv1.StatefulSet); ok && change.Old == nil {
		if owner := metav1.GetControllerOf(sts); owner != nil && w.incarnations.byLeader[owner.UID] != nil {
			w.incarnations.byWorkers[sts.UID] = w.incarnations.byLeader[owner.UID]
		}
		return
	}
	deleted := change.New == nil || change.New.GetDeletionTimestamp() != nil || metav1.GetControllerOf(change.New) == nil
	if incarnation := w.incarnations.byWorkers[change.Old.GetUID()]; incarnation != nil && deleted {
		w.addFailure(incarnation, "its worker StatefulSet is deleted or orphaned")
	}
}

// followPod adds a new pod to its leader's incarnation, and finds failures.
func (w *World) followPod(change Change) {
	if pod, ok := change.New.(*corev1.Pod); ok && change.Old == nil {
		w.incarnations.add(pod)
		w.addUninjected(pod)
	}
	object := change.New
	if object == nil {
		object = change.Old
	}
	incarnation := w.incarnations.byPod[object.GetUID()]
	if incarnation == nil || incarnation.ended {
		return
	}
	if incarnation == w.incarnations.byLeader[object.GetUID()] && isDeletion(change) {
		incarnation.ended, incarnation.byOthers = true, w.writing == nil
		return
	}
	if why := failure(change, incarnation.complete); why != "" {
		w.addFailure(incarnation, "pod "+object.GetName()+" "+why)
	}
	if incarnation.failure == "" && object.GetAnnotations()[leaderworkersetv1.RecoverAnnotationKey] != "" {
		incarnation.failure = "pod " + object.GetName() + " asks for it" // The group may be restarted, and need not be.
	}
	incarnation.complete = incarnation.complete || w.isComplete(incarnation)
}

// countRestart handles a restart that the operator counts. Each incarnation counts at most once in one run of the
// operator, and only if it has ended for a failure or by somebody else.
func (w *World) countRestart(leader types.UID, cause string) {
	w.t.Helper()
	switch incarnation := w.incarnations.byLeader[leader]; {
	case incarnation == nil:
		w.fail("a restart for %s counts of a leader that never existed", cause)
	case incarnation.counted == w.run:
		w.fail("the restart of a group of %s counts twice, now for %s", incarnation.set, cause)
	case !incarnation.ended:
		w.fail("a restart of a group of %s for %s counts before the group is restarted", incarnation.set, cause)
	case incarnation.failure == "" && !incarnation.byOthers:
		w.fail("a restart of a group of %s for %s counts, but the group hasn't failed", incarnation.set, cause)
	default:
		incarnation.counted = w.run
	}
}

// CheckCounted fails unless the operator has counted each incarnation that it had to know and that has failed, or was
// ended by somebody else. It is for worlds in which groups end by failures alone, and in which the operator never ends.
func (w *World) CheckCounted() {
	w.t.Helper()
	for leader, incarnation := range w.incarnations.byLeader {
		failed := incarnation.counts || (incarnation.known && incarnation.byOthers)
		if incarnation.ended && failed && incarnation.counted == nil {
			w.fail("the restart of the group of leader %s doesn't count: %s", leader, incarnation.failure)
		}
	}
}

// add adds a new pod to its incarnation. A leader begins one. A pod with an ordinal that no worker has is a copy of
// one.
func (i *incarnations) add(pod *corev1.Pod) {
	owner := metav1.GetControllerOf(pod)
	set := pod.Labels[leaderworkersetv1.SetNameLabelKey]
	if owner == nil || set == "" {
		return
	}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" {
		i.byLeader[pod.UID] = &incarnation{
			set: at(pod, set), size: sizeOf(pod), pods: map[types.UID]types.NamespacedName{},
			unmarked: map[types.UID]time.Duration{},
		}
		i.byPod[pod.UID] = i.byLeader[pod.UID]
	} else if incarnation := i.byWorkers[owner.UID]; incarnation != nil && isWorkerIndex(indexOf(pod), incarnation.size) {
		i.byPod[pod.UID] = incarnation
	}
	if incarnation := i.byPod[pod.UID]; incarnation != nil {
		incarnation.pods[pod.UID] = client.ObjectKeyFromObject(pod)
	}
}

// isWorkerIndex reports whether a group of this size has a worker with this index.
func isWorkerIndex(index, size int32) bool { return index > 0 && index < size }

// isDeletion reports whether the change deletes the object, or marks it for deletion.
func isDeletion(change Change) bool {
	return change.Old != nil && change.Old.GetDeletionTimestamp() == nil &&
		(change.New == nil || change.New.GetDeletionTimestamp() != nil)
}

// failure returns how the pod fails by the change; empty if it doesn't. Restarts of containers count only after the
// group was complete.
func failure(change Change, complete bool) string {
	before, existed := change.Old.(*corev1.Pod)
	after, exists := change.New.(*corev1.Pod)
	switch {
	case isDeletion(change):
		return "is deleted"
	case !existed || !exists:
		return ""
	case before.Status.Phase != corev1.PodFailed && after.Status.Phase == corev1.PodFailed:
		return "has failed"
	case complete && restartsOf(after) > restartsOf(before):
		return "had a restart"
	default:
		return ""
	}
}

// addFailure records a failure of an incarnation, if its restart policy asks for a restart.
func (w *World) addFailure(incarnation *incarnation, why string) {
	policy := w.restartPolicy(incarnation)
	if policy == "" || policy == leaderworkersetv1.NoneRestartPolicy || incarnation.ended ||
		(policy == leaderworkersetv1.RecreateGroupAfterStart && !incarnation.complete) {
		return
	}
	if incarnation.failure == "" {
		incarnation.failure = why
	}
	incarnation.counts = incarnation.counts || incarnation.known
}

// takeAside removes a worker from its incarnation: somebody took it aside. That is a failure of its group.
func (w *World) takeAside(pod *corev1.Pod) {
	incarnation := w.incarnations.byPod[pod.UID]
	if incarnation == nil || incarnation == w.incarnations.byLeader[pod.UID] {
		return
	}
	w.addFailure(incarnation, "pod "+pod.Name+" is taken aside")
	delete(w.incarnations.byPod, pod.UID)
	delete(incarnation.pods, pod.UID)
}

// restartPolicy returns the policy of an incarnation's set; empty if that is deleted or terminates.
func (w *World) restartPolicy(incarnation *incarnation) leaderworkersetv1.RestartPolicyType {
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, incarnation.set)
	if lws == nil || lws.DeletionTimestamp != nil {
		return ""
	}
	return lws.RestartPolicy()
}

// isComplete reports whether all pods of an incarnation exist now, and have started if the restart policy waits for
// that.
func (w *World) isComplete(incarnation *incarnation) bool {
	count := int32(0)
	afterStart := w.restartPolicy(incarnation) == leaderworkersetv1.RecreateGroupAfterStart
	for uid, key := range incarnation.pods {
		pod := getOf[*corev1.Pod](w.API, kindPod, key)
		if pod == nil || pod.UID != uid || pod.DeletionTimestamp != nil {
			continue
		}
		if !afterStart || pod.Status.Phase == corev1.PodRunning {
			count++
		}
	}
	return count == incarnation.size
}

// hasFailed reports whether a pod of the leader's group has failed in this incarnation.
func (i *incarnations) hasFailed(leader *corev1.Pod) bool {
	incarnation := i.byLeader[leader.UID]
	return incarnation != nil && incarnation.failure != ""
}

// checkIncarnations: at rest, no pod of a group that has failed or was deleted is left. From here on, the operator
// knows all groups.
func (w *World) checkIncarnations() {
	w.t.Helper()
	if w.run == nil {
		return
	}
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		incarnation := w.incarnations.byPod[pod.UID]
		switch {
		case incarnation == nil || pod.DeletionTimestamp != nil || w.restartPolicy(incarnation) == "":
		case incarnation.ended:
			w.fail("pod %s exists without the leader that it was created for", pod.Name)
		case incarnation.counts && !w.mayStayFailed(incarnation):
			w.fail("pod %s is of a group that has failed: %s", pod.Name, incarnation.failure)
		default:
			incarnation.known = incarnation.complete
		}
	}
}

// mayStayFailed reports whether groups of the incarnation's set may have no restarts left.
func (w *World) mayStayFailed(incarnation *incarnation) bool {
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, incarnation.set)
	return lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts != nil &&
		meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionDegraded)
}
