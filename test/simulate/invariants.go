// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// invariants are checked after every change, whoever makes it.
type invariants struct {
	// bounds follow from all specs of each LeaderWorkerSet since the world was last at rest. An operator with a late
	// cache may act on any of them.
	bounds map[types.NamespacedName]bounds

	// disturbed are the leaders of groups that users or accidents have changed, as they were.
	disturbed map[types.UID]*corev1.Pod

	// roles are those of all DisaggregatedSets.
	roles map[types.NamespacedName]*roleBounds
}

// bounds are the fewest ready groups of a rollout, the most groups that may exist, and the highest partition of users.
type bounds struct{ fewestReady, most, partition int32 }

// check checks a change that has just been made.
func (w *World) check(change Change) {
	w.t.Helper()
	defer w.followIncarnations(change)
	switch change.Kind {
	case kindLeaderWorkerSet:
		if lws, ok := change.New.(*leaderworkersetv1.LeaderWorkerSet); ok {
			w.rules.addSpec(lws)
			w.checkConditions(lws.Status.Conditions)
		}
		w.checkChild(change)
	case kindDisaggregatedSet, kindScaler:
		w.checkRoles(change)
	case kindClaim:
		if claim, ok := change.Old.(*corev1.PersistentVolumeClaim); ok && isDeletion(change) {
			w.checkClaim(claim)
		}
	case kindStatefulSet:
		if w.writing != nil {
			w.checkStatefulSet(change)
		}
	case kindPodGroup:
		if podGroup, ok := change.New.(*unstructured.Unstructured); ok && change.Old == nil {
			w.checkPodGroup(podGroup)
		}
	case kindPod:
		if pod, ok := change.New.(*corev1.Pod); ok && change.Old == nil {
			w.checkRevision(pod)
			w.checkRelease(pod)
			w.checkMember(pod)
		}
		if pod, ok := change.Old.(*corev1.Pod); ok && w.writing != nil && isDeletion(change) {
			w.checkDeletion(pod, pod)
		} else if ok && (w.accidental || w.nodeIsLost(pod.Spec.NodeName)) {
			w.rules.disturb(cmp.Or(w.leaderOf(pod), pod))
		}
	}
}

// checkConditions: exactly one of Available and Progressing is True, and so is Reconciling or Stalled while the set is
// Progressing. Those two never exist without being True.
func (w *World) checkConditions(conditions []metav1.Condition) {
	w.t.Helper()
	if len(conditions) == 0 {
		return // No status was written yet.
	}
	is := map[string]bool{}
	for _, condition := range conditions {
		is[condition.Type] = condition.Status == metav1.ConditionTrue
	}
	stalled, hasStalled := is[leaderworkersetv1.ConditionStalled]
	reconciling, hasReconciling := is[leaderworkersetv1.ConditionReconciling]
	progressing := is[leaderworkersetv1.ConditionProgressing]
	switch {
	case is[leaderworkersetv1.ConditionAvailable] == progressing:
		w.fail("Available and Progressing are both %t", progressing)
	case hasStalled != stalled || hasReconciling != reconciling:
		w.fail("Stalled or Reconciling exists without being True")
	case stalled && !is[leaderworkersetv1.ConditionDegraded] && !is[leaderworkersetv1.ConditionReplicaFailure]:
		w.fail("the set is stalled, and nothing is wrong")
	case reconciling != (progressing && !stalled):
		w.fail("Reconciling is %t, Progressing %t and Stalled %t", reconciling, progressing, stalled)
	}
}

// addSpec widens the bounds of a LeaderWorkerSet by its present spec.
func (i *invariants) addSpec(lws *leaderworkersetv1.LeaderWorkerSet) {
	if i.bounds == nil {
		i.bounds = map[types.NamespacedName]bounds{}
	}
	surge, unavailable := budgetOf(lws)
	latest := bounds{
		fewestReady: *lws.Spec.Replicas - unavailable,
		most:        *lws.Spec.Replicas + surge,
		partition:   *lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition,
	}
	key := client.ObjectKeyFromObject(lws)
	if known, ok := i.bounds[key]; ok {
		latest = bounds{
			fewestReady: min(known.fewestReady, latest.fewestReady),
			most:        max(known.most, latest.most),
			partition:   max(known.partition, latest.partition),
		}
	}
	i.bounds[key] = latest
}

// disturb records a change of a group that the operator may not see at once.
func (i *invariants) disturb(leader *corev1.Pod) {
	if i.disturbed == nil {
		i.disturbed = map[types.UID]*corev1.Pod{}
	}
	i.disturbed[leader.UID] = leader
}

// reset forgets earlier specs and disturbances, since the world is at rest.
func (i *invariants) reset(api *API) {
	i.bounds, i.disturbed, i.roles = nil, nil, nil
	for _, lws := range listOf[*leaderworkersetv1.LeaderWorkerSet](api, kindLeaderWorkerSet) {
		i.addSpec(lws)
	}
	for _, set := range listOf[*disaggregatedsetv1.DisaggregatedSet](api, kindDisaggregatedSet) {
		i.addRoles(api, set)
	}
}

// boundsOf returns the bounds of the LeaderWorkerSet of a leader StatefulSet.
func (w *World) boundsOf(leaders *appsv1.StatefulSet) bounds {
	return w.rules.bounds[client.ObjectKeyFromObject(leaders)]
}

// checkStatefulSet checks a write of the operator to a StatefulSet.
func (w *World) checkStatefulSet(change Change) {
	w.t.Helper()
	before, existed := change.Old.(*appsv1.StatefulSet)
	after, exists := change.New.(*appsv1.StatefulSet)
	switch {
	case existed && !isLeaders(before):
		if leader := w.leaderOfWorkers(before); leader != nil && (!exists || after.DeletionTimestamp != nil) {
			w.checkDeletion(leader, before)
		}
	case existed && exists:
		w.checkMonotone(before, after)
		w.checkBound(after)
		w.checkBudget(before, after)
		w.checkOnDelete(before, after)
	case existed:
		w.fail("the operator deletes the leader StatefulSet %s", before.Name)
	}
}

// checkMonotone: within one revision and one replica count, the partition never rises, and released groups stay
// released. Exceptions are a partition that users raise, and a set of which the API server has refused a leader: the
// refusal of another leader may lack its event.
func (w *World) checkMonotone(before, after *appsv1.StatefulSet) {
	w.t.Helper()
	if revisionOf(before) != revisionOf(after) || specReplicas(before) != specReplicas(after) {
		return
	}
	earlier, later, protected := releaseOf(before), releaseOf(after), w.boundsOf(after).partition
	if later.Partition > max(earlier.Partition, protected) {
		w.fail("the partition of %s rises from %d to %d", after.Name, earlier.Partition, later.Partition)
	}
	refused := w.API.refused[client.ObjectKeyFromObject(after)]
	for _, index := range earlier.Also {
		if index >= protected && index < *after.Spec.Replicas && !later.includes(index) && !refused {
			w.fail("group %d of %s was released below the partition, and no longer is", index, after.Name)
		}
	}
}

// checkOnDelete: the strategy of the leader StatefulSet becomes OnDelete only if the next leader needs it, according to
// the cache. Another controller of LeaderWorkerSets can't work with that strategy.
func (w *World) checkOnDelete(before, after *appsv1.StatefulSet) {
	w.t.Helper()
	next := w.writing.lowestMissing
	if !isOnDelete(before) && isOnDelete(after) && !needsOnDelete(after, next) {
		w.fail("%s becomes OnDelete, and the next leader is that of group %d", after.Name, next)
	}
}

// checkNoLonger: a pass that finds a leader StatefulSet with the strategy OnDelete, which the next leader doesn't need,
// ends the strategy, unless the pass releases that leader. An exception is a new revision: the operator first deletes
// the groups that the earlier one released. Another one is a pass on a late view: its write asks for the generation and
// the annotations that it observed, and fails if they have changed.
func (w *World) checkNoLonger(p *pass) {
	w.t.Helper()
	if p.onDelete == nil {
		return
	}
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, client.ObjectKeyFromObject(p.onDelete))
	if leaders != nil && leaders.UID == p.onDelete.UID && leaders.Generation == p.onDelete.Generation &&
		maps.Equal(leaders.Annotations, p.onDelete.Annotations) && revisionOf(leaders) == w.latestKey(leaders) &&
		!needsOnDelete(leaders, p.lowestMissing) {
		w.fail("%s is OnDelete after %s, and the next leader is that of group %d", leaders.Name, p.name, p.lowestMissing)
	}
}

// latestKey returns the key of the latest revision of the set of a leader StatefulSet.
func (w *World) latestKey(leaders *appsv1.StatefulSet) string {
	latest := &appsv1.ControllerRevision{}
	for _, revision := range listOf[*appsv1.ControllerRevision](w.API, kindControllerRevision) {
		owner, ofSet := metav1.GetControllerOf(revision), metav1.GetControllerOf(leaders)
		if owner != nil && ofSet != nil && owner.UID == ofSet.UID && revision.Revision > latest.Revision {
			latest = revision
		}
	}
	return revisionOf(latest)
}

// checkNoneOnDelete: no leader StatefulSet is OnDelete in a world at rest.
func (w *World) checkNoneOnDelete() {
	w.t.Helper()
	for _, leaders := range listOf[*appsv1.StatefulSet](w.API, kindStatefulSet) {
		if w.run != nil && isLeaders(leaders) && isOnDelete(leaders) {
			w.fail("%s is OnDelete in a world at rest", leaders.Name)
		}
	}
}

// checkBound: there are never more groups than replicas and surge.
func (w *World) checkBound(leaders *appsv1.StatefulSet) {
	w.t.Helper()
	if most := w.boundsOf(leaders).most; *leaders.Spec.Replicas > most {
		w.fail("%s has %d replicas, more than the %d of any spec", leaders.Name, *leaders.Spec.Replicas, most)
	}
}

// checkBudget: the operator never releases a ready group when that leaves fewer than replicas - maxUnavailable ready.
// From the release on, the StatefulSet controller may delete the group. These groups cost nothing:
//
//   - Groups that the cache didn't show as ready when the pass began, even if they have become ready since.
//   - Groups that the user no longer wants.
//
// A group that the cache showed as ready, and that was disturbed since, counts as ready: the operator can't know.
func (w *World) checkBudget(before, after *appsv1.StatefulSet) {
	w.t.Helper()
	staying, costs := w.disturbedUnseen(after), ""
	for _, group := range w.groupsOf(after) {
		wanted := group.index < *after.Spec.Replicas || specReplicas(before) == specReplicas(after)
		switch {
		case group.ready && !group.mayStop(after):
			staying++
		case group.ready && wanted && !group.mayStop(before) && w.writing.ready[group.leader.UID]:
			costs = group.leader.Name
		}
	}
	if fewest := w.boundsOf(after).fewestReady; costs != "" && staying < fewest {
		w.fail("group %s is ready and released now, which leaves %d ready groups of at least %d", costs, staying, fewest)
	}
}

// disturbedUnseen counts the groups that have to stay, and that are no longer ready although the cache says so.
func (w *World) disturbedUnseen(leaders *appsv1.StatefulSet) int32 {
	count := int32(0)
	for uid, leader := range w.rules.disturbed {
		if w.writing.ready[uid] && !w.ready(leader) && !(group{index: indexOf(leader), leader: leader}).mayStop(leaders) {
			count++
		}
	}
	return count
}

// checkDeletion: the operator deletes only groups that are released, that have failed in this incarnation, or that
// terminate already. The leader is passed as it was before the deletion of object.
func (w *World) checkDeletion(leader *corev1.Pod, object client.Object) {
	w.t.Helper()
	leaders := w.leadersOf(object)
	if leaders == nil || leader.DeletionTimestamp != nil || !metav1.IsControlledBy(leader, leaders) {
		return
	}
	if !w.groupOf(leader).mayStop(leaders) && !w.incarnations.hasFailed(leader) {
		w.fail("%s deletes %s %s of a group that has to stay", w.writing.name, noun(object), object.GetName())
	}
}

// checkRevision: a group is created from one revision only, its own.
func (w *World) checkRevision(pod *corev1.Pod) {
	w.t.Helper()
	key := revisionOf(pod)
	if key == "" {
		return // Of no LeaderWorkerSet.
	}
	revision := w.revision(pod, key)
	if revision == nil {
		return // Its set is deleted, and the garbage collector has yet to delete the pod's owner.
	}
	template, err := templateOf(revision)
	w.must(err)
	wanted := leaderTemplateOf(template)
	if leader := w.leaderOf(pod); leader != nil {
		wanted = &template.WorkerTemplate
		if revisionOf(leader) != key {
			w.fail("worker %s is of another revision than its leader", pod.Name)
		}
	}
	if pod.Annotations[leaderworkersetv1.SizeAnnotationKey] != strconv.Itoa(int(*template.Size)) {
		w.fail("pod %s has the size of another revision", pod.Name)
	}
	if pod.Spec.Containers[0].Image != wanted.Spec.Containers[0].Image {
		w.fail("pod %s has the image of another revision", pod.Name)
	}
}

// checkRelease: a group that isn't released is recreated at the earlier revision, a released one at the current one.
func (w *World) checkRelease(leader *corev1.Pod) {
	w.t.Helper()
	leaders := w.leadersOf(leader)
	if leaders == nil || !metav1.IsControlledBy(leader, leaders) {
		return
	}
	released, index := releaseOf(leaders), indexOf(leader)
	isCurrent := revisionOf(leader) == revisionOf(leaders)
	below := leaders.Status.CurrentRevision // At which the StatefulSet controller creates pods below a partition.
	isBelow := below == "" || leader.Labels[appsv1.StatefulSetRevisionLabel] == below
	protected := index < w.boundsOf(leaders).partition
	switch {
	case slices.Contains(released.Deferred, index):
		w.fail("leader %s is created while its group is deferred", leader.Name)
	case isCurrent && !released.includes(index) && !protected && !isBelow:
		w.fail("leader %s is created at the current revision before its release", leader.Name)
	case !isCurrent && slices.Contains(released.Also, index):
		w.fail("leader %s is created at the earlier revision after its release", leader.Name)
	}
}

// revision returns the revision of that key of the pod's set; nil if there is none.
func (w *World) revision(pod *corev1.Pod, key string) *appsv1.ControllerRevision {
	for _, candidate := range listOf[*appsv1.ControllerRevision](w.API, kindControllerRevision) {
		owner := metav1.GetControllerOf(candidate)
		ofSet := owner != nil && owner.Kind == kindLeaderWorkerSet
		if candidate.Namespace == pod.Namespace && revisionOf(candidate) == key && ofSet {
			return candidate
		}
	}
	return nil
}

// leadersOf returns the leader StatefulSet of an object of a LeaderWorkerSet; nil if there is none.
func (w *World) leadersOf(object client.Object) *appsv1.StatefulSet {
	set := object.GetLabels()[leaderworkersetv1.SetNameLabelKey]
	return getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, at(object, set))
}

// leaderOf returns the leader of a worker; nil for leaders, for pods without an owner, and if the leader is deleted.
func (w *World) leaderOf(pod *corev1.Pod) *corev1.Pod {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return nil
	}
	workers := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, at(pod, owner.Name))
	if workers == nil || workers.UID != owner.UID || isLeaders(workers) {
		return nil
	}
	return w.leaderOfWorkers(workers)
}

// leaderOfWorkers returns the leader that a worker StatefulSet belongs to; nil if that is deleted.
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

// mayStop reports whether the StatefulSet controller or the operator may delete the leader of the group: the group is
// outdated and released, or deferred, or there are too many groups.
func (g group) mayStop(leaders *appsv1.StatefulSet) bool {
	outdated, released := revisionOf(g.leader) != revisionOf(leaders), releaseOf(leaders)
	return (outdated && released.includes(g.index)) || slices.Contains(released.Deferred, g.index) ||
		g.index >= *leaders.Spec.Replicas
}

// groupsOf returns the groups of a leader StatefulSet.
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
	return group{index: indexOf(leader), leader: leader, ready: w.ready(leader)}
}

// ready reports whether the leader and all its workers are ready, from every pod's own status.
func (w *World) ready(leader *corev1.Pod) bool {
	current := getOf[*corev1.Pod](w.API, kindPod, client.ObjectKeyFromObject(leader))
	if current == nil || current.UID != leader.UID || current.DeletionTimestamp != nil || !podIsReady(current) {
		return false
	}
	count := int32(1)
	workers := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, client.ObjectKeyFromObject(leader))
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		if workers != nil && metav1.IsControlledBy(workers, current) && metav1.IsControlledBy(pod, workers) &&
			pod.DeletionTimestamp == nil && podIsReady(pod) {
			count++
		}
	}
	return count == sizeOf(current)
}
