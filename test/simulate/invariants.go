// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// invariants are checked after every change, whoever makes it.
type invariants struct {
	// wishes are those of each LeaderWorkerSet since the world was last at rest. An operator whose cache lags may go by any of them.
	wishes map[types.NamespacedName]wishes

	// hurt are the leaders of groups that users, or accidents, have done something to, as they were.
	hurt map[types.UID]*corev1.Pod
}

// wishes are the fewest groups that have to stay ready in a rollout, the most that may exist, and the highest partition.
type wishes struct{ fewestReady, most, partition int32 }

// check looks at a change that has just been made.
func (w *World) check(change Change) {
	w.t.Helper()
	defer w.followLives(change)
	switch change.Kind {
	case kindLeaderWorkerSet:
		if lws, ok := change.New.(*leaderworkersetv1.LeaderWorkerSet); ok {
			w.rules.wish(lws)
		}
	case kindClaim:
		if claim, ok := change.Old.(*corev1.PersistentVolumeClaim); ok && goes(change) {
			w.checkClaim(claim)
		}
	case kindStatefulSet:
		if w.writing != nil {
			w.checkStatefulSet(change)
		}
	case kindPod:
		if pod, ok := change.New.(*corev1.Pod); ok && change.Old == nil {
			w.checkRevision(pod)
			w.checkOrder(pod)
		}
		if pod, ok := change.Old.(*corev1.Pod); ok && w.writing != nil {
			w.checkTakenDown(pod, pod)
		} else if ok && (w.accidental || w.nodeIsLost(pod.Spec.NodeName)) {
			w.rules.hit(cmp.Or(w.leaderOf(pod), pod))
		}
	}
}

// wish takes one more wish into account.
func (i *invariants) wish(lws *leaderworkersetv1.LeaderWorkerSet) {
	if i.wishes == nil {
		i.wishes = map[types.NamespacedName]wishes{}
	}
	surge, unavailable := snapshot.Budget(lws)
	latest := wishes{
		fewestReady: *lws.Spec.Replicas - unavailable,
		most:        *lws.Spec.Replicas + surge,
		partition:   *lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition,
	}
	key := client.ObjectKeyFromObject(lws)
	if known, ok := i.wishes[key]; ok {
		latest = wishes{
			fewestReady: min(known.fewestReady, latest.fewestReady),
			most:        max(known.most, latest.most),
			partition:   max(known.partition, latest.partition),
		}
	}
	i.wishes[key] = latest
}

// hit notes that something happens to a group that the operator may not see at once.
func (i *invariants) hit(leader *corev1.Pod) {
	if i.hurt == nil {
		i.hurt = map[types.UID]*corev1.Pod{}
	}
	i.hurt[leader.UID] = leader
}

// rest forgets the wishes that have been granted, and the accidents that everyone has seen.
func (i *invariants) rest(api *API) {
	i.wishes, i.hurt = nil, nil
	for _, lws := range listOf[*leaderworkersetv1.LeaderWorkerSet](api, kindLeaderWorkerSet) {
		i.wish(lws)
	}
}

// checkStatefulSet checks what the operator does to a StatefulSet.
func (w *World) checkStatefulSet(change Change) {
	w.t.Helper()
	before, existed := change.Old.(*appsv1.StatefulSet)
	after, exists := change.New.(*appsv1.StatefulSet)
	switch {
	case existed && !isLeaders(before):
		if leader := w.leaderOfWorkers(before); leader != nil && (!exists || after.DeletionTimestamp != nil) {
			w.checkTakenDown(leader, before)
		}
	case existed && exists:
		w.checkMonotone(before, after)
		w.checkBound(after)
		w.checkBudget(before, after)
	case existed:
		w.fail("the operator deletes the leader StatefulSet %s", before.Name)
	}
}

// checkMonotone: within one revision and one replica count the partition never rises, and groups ahead of it stay so, but for a partition
// that users raise.
func (w *World) checkMonotone(before, after *appsv1.StatefulSet) {
	w.t.Helper()
	same := revisionOf(before) == revisionOf(after) &&
		before.Annotations[leaderworkersetv1.ReplicasAnnotationKey] == after.Annotations[leaderworkersetv1.ReplicasAnnotationKey]
	was, is, protected := release.Of(before), release.Of(after), w.rules.wishes[client.ObjectKeyFromObject(after)].partition
	if same && is.Partition > max(was.Partition, protected) {
		w.fail("the partition of %s rises from %d to %d", after.Name, was.Partition, is.Partition)
	}
	for _, index := range was.Also {
		if same && index >= protected && index < *after.Spec.Replicas && !is.Includes(index) {
			w.fail("group %d of %s was ahead of the partition, and isn't any more", index, after.Name)
		}
	}
}

// checkBound: there are never more groups than replicas and surge.
func (w *World) checkBound(leaders *appsv1.StatefulSet) {
	w.t.Helper()
	if most := w.rules.wishes[client.ObjectKeyFromObject(leaders)].most; *leaders.Spec.Replicas > most {
		w.fail("%s has %d replicas, more than any wish of %d", leaders.Name, *leaders.Spec.Replicas, most)
	}
}

// checkBudget: the operator never lets a ready group go when that leaves fewer than replicas - maxUnavailable ready. What counts is that
// moment: from then on, the StatefulSet controller may take the group down. Groups that weren't ready in the cache when the pass began
// cost nothing, even if they have become ready since; and those that were ready there, and have been hurt since, still stand: nobody
// could know. Nor do those cost anything that go because the user wants fewer.
func (w *World) checkBudget(before, after *appsv1.StatefulSet) {
	w.t.Helper()
	staying, costs := w.hurtUnseen(after), ""
	for _, group := range w.groupsOf(after) {
		wanted := group.index < *after.Spec.Replicas || wished(before) == wished(after)
		switch {
		case group.ready && !group.mayGo(after):
			staying++
		case group.ready && wanted && !group.mayGo(before) && w.writing.saw[group.leader.UID]:
			costs = group.leader.Name
		}
	}
	if fewest := w.rules.wishes[client.ObjectKeyFromObject(after)].fewestReady; costs != "" && staying < fewest {
		w.fail("group %s is ready and may go from now on, which leaves %d ready groups of at least %d", costs, staying, fewest)
	}
}

// hurtUnseen counts the groups that may not go, and that are no longer ready although the cache still says so.
func (w *World) hurtUnseen(leaders *appsv1.StatefulSet) int32 {
	count := int32(0)
	for uid, leader := range w.rules.hurt {
		_, index, _ := identity.Parse(leader.Name)
		if w.writing.saw[uid] && !w.ready(leader) && !(group{index: index, leader: leader}).mayGo(leaders) {
			count++
		}
	}
	return count
}

// wished is how many groups the user asks for, surge aside.
func wished(leaders *appsv1.StatefulSet) int32 {
	replicas, _ := identity.ParseIndex(leaders.Annotations[leaderworkersetv1.ReplicasAnnotationKey])
	return replicas
}

// checkTakenDown: the operator takes down only groups that have been let go before, that have failed in this life, or that are going
// already. leader is that of the group as it was before; object is what is deleted.
func (w *World) checkTakenDown(leader *corev1.Pod, object client.Object) {
	w.t.Helper()
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, at(object, object.GetLabels()[leaderworkersetv1.SetNameLabelKey]))
	if leaders == nil || leader.DeletionTimestamp != nil || !metav1.IsControlledBy(leader, leaders) {
		return
	}
	if !w.groupOf(leader).mayGo(leaders) && !w.lives.hasFailed(leader) {
		w.fail("%s deletes %s %s of a group that has to stay", w.writing.name, noun(object), object.GetName())
	}
}

// checkRevision: a group is built from one revision only, its own.
func (w *World) checkRevision(pod *corev1.Pod) {
	w.t.Helper()
	key := pod.Labels[leaderworkersetv1.RevisionLabelKey]
	if key == "" {
		return // A stranger's.
	}
	made := w.revision(pod, key)
	if made == nil {
		return // Its set is gone, and the garbage collector has yet to come here.
	}
	template, err := revision.Parse(made)
	w.must(err)
	wanted := template.Leader()
	if leader := w.leaderOf(pod); leader != nil {
		wanted = &template.LeaderWorkerTemplate.WorkerTemplate
		if leader.Labels[leaderworkersetv1.RevisionLabelKey] != key {
			w.fail("worker %s is of another revision than its leader", pod.Name)
		}
	}
	if pod.Annotations[leaderworkersetv1.SizeAnnotationKey] != identity.FormatIndex(*template.LeaderWorkerTemplate.Size) {
		w.fail("pod %s has the size of another revision", pod.Name)
	}
	if pod.Spec.Containers[0].Image != wanted.Spec.Containers[0].Image {
		w.fail("pod %s has the image of another revision", pod.Name)
	}
}

// checkOrder: an old group comes back old, and one that goes ahead of the partition comes back new.
func (w *World) checkOrder(leader *corev1.Pod) {
	w.t.Helper()
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, at(leader, leader.Labels[leaderworkersetv1.SetNameLabelKey]))
	if leaders == nil || !metav1.IsControlledBy(leader, leaders) {
		return
	}
	order, index := release.Of(leaders), w.groupOf(leader).index
	isNew := revisionOf(leader) == revisionOf(leaders)
	only := leaders.Status.CurrentRevision
	protected := index < w.rules.wishes[client.ObjectKeyFromObject(leaders)].partition
	switch {
	case isNew && !order.Includes(index) && !protected && only != "" && leader.Labels[appsv1.StatefulSetRevisionLabel] != only:
		w.fail("leader %s is created at the new revision before its turn", leader.Name)
	case !isNew && slices.Contains(order.Also, index):
		w.fail("leader %s is created at the old revision when its turn has come", leader.Name)
	}
}

// revision is the revision with that key, of the pod's set; nil if there is none.
func (w *World) revision(pod *corev1.Pod, key string) *appsv1.ControllerRevision {
	for _, candidate := range listOf[*appsv1.ControllerRevision](w.API, kindControllerRevision) {
		owner := metav1.GetControllerOf(candidate)
		if candidate.Namespace == pod.Namespace && revisionOf(candidate) == key && owner != nil && owner.Kind == kindLeaderWorkerSet {
			return candidate
		}
	}
	return nil
}

// leaderOf is the leader of a worker; nil for leaders, and once it is gone.
func (w *World) leaderOf(pod *corev1.Pod) *corev1.Pod {
	owner := metav1.GetControllerOf(pod)
	workers := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, at(pod, owner.Name))
	if workers == nil || workers.UID != owner.UID || isLeaders(workers) {
		return nil
	}
	return w.leaderOfWorkers(workers)
}

// leaderOfWorkers is the leader that a worker StatefulSet belongs to; nil once it is gone.
func (w *World) leaderOfWorkers(workers *appsv1.StatefulSet) *corev1.Pod {
	owner := metav1.GetControllerOf(workers)
	if owner == nil {
		return nil // Orphaned.
	}
	if leader := getOf[*corev1.Pod](w.API, kindPod, at(workers, owner.Name)); leader != nil && leader.UID == owner.UID {
		return leader
	}
	return nil
}

// group is a group that has a leader, as it really is.
type group struct {
	index  int32
	leader *corev1.Pod
	ready  bool
}

// mayGo says whether a StatefulSet like that lets the group be taken down, by a rollout or because there are too many.
func (g group) mayGo(leaders *appsv1.StatefulSet) bool {
	outdated := revisionOf(g.leader) != revisionOf(leaders) && release.Of(leaders).Includes(g.index)
	return outdated || g.index >= *leaders.Spec.Replicas
}

// groupsOf are the groups that belong to a leader StatefulSet.
func (w *World) groupsOf(leaders *appsv1.StatefulSet) []group {
	var groups []group
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		if metav1.IsControlledBy(pod, leaders) {
			groups = append(groups, w.groupOf(pod))
		}
	}
	return groups
}

func (w *World) groupOf(leader *corev1.Pod) group {
	_, index, _ := identity.Parse(leader.Name)
	return group{index: index, leader: leader, ready: w.ready(leader)}
}

// ready says whether the leader and all its workers are ready, by looking at every pod.
func (w *World) ready(leader *corev1.Pod) bool {
	current := getOf[*corev1.Pod](w.API, kindPod, client.ObjectKeyFromObject(leader))
	if current == nil || current.UID != leader.UID {
		return false
	}
	leader = current
	if leader.DeletionTimestamp != nil || !snapshot.PodReady(leader) {
		return false
	}
	count := int32(1)
	workers := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, client.ObjectKeyFromObject(leader))
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		if workers != nil && metav1.IsControlledBy(workers, leader) && metav1.IsControlledBy(pod, workers) &&
			pod.DeletionTimestamp == nil && snapshot.PodReady(pod) {
			count++
		}
	}
	return count == snapshot.LeaderSize(leader)
}

// readyGroups are the leaders of groups that are ready.
type readyGroups map[types.UID]bool

// readyInCache are the groups that are ready as far as the cache can tell, if the key is that of a LeaderWorkerSet.
func readyInCache(cache *lateCache, key types.NamespacedName) readyGroups {
	saw := readyGroups{}
	lws, wished := cache.views[kindLeaderWorkerSet].objects[key].(*leaderworkersetv1.LeaderWorkerSet)
	leaders, ok := cache.views[kindStatefulSet].objects[key].(*appsv1.StatefulSet)
	if !wished || !ok || !isLeaders(leaders) {
		return saw
	}
	pods := typed[*corev1.Pod](cache, kindPod)
	for _, group := range snapshot.OwnedGroups(lws, leaders, pods, typed[*appsv1.StatefulSet](cache, kindStatefulSet)) {
		saw[group.Leader.UID] = group.Ready()
	}
	return saw
}

func typed[T client.Object](cache *lateCache, kind string) []T {
	var all []T
	for _, object := range cache.views[kind].objects {
		if one, ok := object.(T); ok {
			all = append(all, one)
		}
	}
	return all
}

func revisionOf(object client.Object) string {
	return object.GetLabels()[leaderworkersetv1.RevisionLabelKey]
}
