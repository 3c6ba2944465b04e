// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Field indexes of the cache. Each value is a name within the namespace.
const (
	leadersOfSet   = "leadersOfSet"   // leader pods by LeaderWorkerSet
	workersOfSet   = "workersOfSet"   // worker StatefulSets by LeaderWorkerSet
	workersOfGroup = "workersOfGroup" // worker pods by leader pod
	claimsOfGroup  = "claimsOfGroup"  // volume claims of workers by leader pod
	revisionsOfSet = "revisionsOfSet" // ControllerRevisions by LeaderWorkerSet
)

// What happens to the pods of a set is gathered for a moment before a pass looks at it, longer the more there are: a pass over a set costs
// O(groups), one over a group O(size), and both start at most once a moment, so that what they cost while everything changes doesn't grow
// faster than the set. 20 groups of 4 wait 26 ms, 100 wait 90 ms, and from 613 groups of 4 on it is half a second.
const (
	shortestMoment = 10 * time.Millisecond
	momentPerPod   = 200 * time.Microsecond
	longestMoment  = 500 * time.Millisecond
)

// momentOf is how long what happens to a set's pods is gathered.
func momentOf(lws *leaderworkersetv1.LeaderWorkerSet) time.Duration {
	groups := int64(ptr.Deref(lws.Spec.Replicas, 1))
	size := int64(ptr.Deref(lws.Spec.LeaderWorkerTemplate.Size, 1))
	pods := min(groups*size, int64(longestMoment/momentPerPod)) // Replicas of 2^31 don't overflow.
	return min(shortestMoment+momentPerPod*time.Duration(pods), longestMoment)
}

// delay is how long what happens to an object may wait for more of the kind.
type delay[T client.Object] func(context.Context, T) time.Duration

// atOnce is no delay.
func atOnce[T client.Object](context.Context, T) time.Duration { return 0 }

// aMoment is the delay of a LeaderWorkerSet, or of a part of one: the moment of the set. What is left of a set that is gone waits for the
// longest.
func aMoment[T client.Object](reader client.Reader) delay[T] {
	return func(ctx context.Context, object T) time.Duration {
		if lws, ok := any(object).(*leaderworkersetv1.LeaderWorkerSet); ok {
			return momentOf(lws)
		}
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		if err := reader.Get(ctx, setOf(object), lws); err != nil {
			return longestMoment
		}
		return momentOf(lws)
	}
}

func isLeader(object client.Object) bool {
	return object.GetLabels()[leaderworkersetv1.WorkerIndexLabelKey] == identity.FormatIndex(0)
}

func indexLeadersOfSet(object client.Object) []string {
	if !isLeader(object) {
		return nil
	}
	return indexBySet(object)
}

func indexWorkersOfSet(object client.Object) []string {
	if object.GetLabels()[leaderworkersetv1.GroupIndexLabelKey] == "" {
		return nil
	}
	return indexBySet(object)
}

func indexWorkersOfGroup(object client.Object) []string {
	if isLeader(object) {
		return nil
	}
	return indexByGroup(object)
}

// isStatefulSetRevision says whether a ControllerRevision is one that the StatefulSet controller keeps for itself.
func isStatefulSetRevision(object client.Object) bool {
	return object.GetLabels()[statefulSetRevisionLabel] != ""
}

func indexRevisionsOfSet(object client.Object) []string {
	if isStatefulSetRevision(object) {
		return nil
	}
	return indexBySet(object)
}

func indexByGroup(object client.Object) []string {
	group, ok := groupOf(object)
	if !ok {
		return nil
	}
	return []string{group.Name}
}

func indexBySet(object client.Object) []string {
	return []string{object.GetLabels()[leaderworkersetv1.SetNameLabelKey]}
}

// setOf is the LeaderWorkerSet that an object is labeled with.
func setOf(object client.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetLabels()[leaderworkersetv1.SetNameLabelKey]}
}

// groupOf is the group that an object is labeled with, by the name of its leader pod. ok is false for objects of no single group.
func groupOf(object client.Object) (group types.NamespacedName, ok bool) {
	set := setOf(object)
	index, ok := identity.ParseIndex(object.GetLabels()[leaderworkersetv1.GroupIndexLabelKey])
	if !ok {
		return types.NamespacedName{}, false
	}
	return at(set, identity.Leader(set.Name, index)), true
}

// enqueueSet has the set of an object looked at, after the delay: what happens to its other objects meanwhile is the same pass.
func enqueueSet[T client.Object](after delay[T]) handler.TypedEventHandler[T, reconcile.Request] {
	return enqueue(after, func(_ context.Context, object T) []types.NamespacedName {
		return []types.NamespacedName{setOf(object)}
	})
}

// enqueueItself has the object looked at, after the delay.
func enqueueItself[T client.Object](after delay[T]) handler.TypedEventHandler[T, reconcile.Request] {
	return enqueue(after, func(_ context.Context, object T) []types.NamespacedName {
		return []types.NamespacedName{client.ObjectKeyFromObject(object)}
	})
}

// enqueueGroup has the group of an object looked at, after the delay: what happens to its other objects meanwhile is the same pass.
func enqueueGroup[T client.Object](after delay[T]) handler.TypedFuncs[T, reconcile.Request] {
	return enqueue(after, func(_ context.Context, object T) []types.NamespacedName {
		if group, ok := groupOf(object); ok {
			return []types.NamespacedName{group}
		}
		return nil
	})
}

// enqueueGroupOfWorkers has the group of a worker pod looked at, a moment later. When the last one is gone it is looked at once: the group's
// next life may wait for that.
func enqueueGroupOfWorkers(reader client.Reader) handler.TypedEventHandler[*corev1.Pod, reconcile.Request] {
	later, now := enqueueGroup(aMoment[*corev1.Pod](reader)), enqueueGroup(atOnce[*corev1.Pod])
	deleted := later.DeleteFunc
	later.DeleteFunc = func(ctx context.Context, e event.TypedDeleteEvent[*corev1.Pod], q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if isLastWorker(ctx, reader, e.Object) {
			now.DeleteFunc(ctx, e, q)
			return
		}
		deleted(ctx, e, q)
	}
	return later
}

// isLastWorker says whether the group of a worker pod that is gone has none left.
func isLastWorker(ctx context.Context, reader client.Reader, gone *corev1.Pod) bool {
	var left corev1.PodList
	group, _ := groupOf(gone)
	err := reader.List(ctx, &left, client.InNamespace(group.Namespace), client.MatchingFields{workersOfGroup: group.Name}, client.Limit(1))
	return err == nil && len(left.Items) == 0
}

// enqueueGroups has the groups looked at that a StatefulSet or Service is of, or stands in the way of.
func enqueueGroups[T client.Object]() handler.TypedEventHandler[T, reconcile.Request] {
	return enqueue(atOnce, func(_ context.Context, object T) []types.NamespacedName { return groupsConcerned(object) })
}

// groupsConcerned are the groups that a StatefulSet or Service has to do with: the one of its labels and, whatever they say, the one
// whose leader has its name, as that is what the objects of a group are called. The children of the set llama-3 may be in the way of group 3 of
// the set llama.
func groupsConcerned(object client.Object) []types.NamespacedName {
	var groups []types.NamespacedName
	if group, ok := groupOf(object); ok {
		groups = append(groups, group)
	}
	itself := client.ObjectKeyFromObject(object)
	if _, _, ok := identity.Parse(itself.Name); ok && !slices.Contains(groups, itself) {
		groups = append(groups, itself)
	}
	return groups
}

// enqueueGroupsOf has all groups of a LeaderWorkerSet looked at.
func enqueueGroupsOf(reader client.Reader) handler.TypedEventHandler[*leaderworkersetv1.LeaderWorkerSet, reconcile.Request] {
	return enqueue(atOnce, groupsOf[*leaderworkersetv1.LeaderWorkerSet](reader))
}

// enqueueGroupsOfLeaders has all groups of a leader StatefulSet looked at.
func enqueueGroupsOfLeaders(reader client.Reader) handler.TypedEventHandler[*appsv1.StatefulSet, reconcile.Request] {
	return enqueue(atOnce, groupsOf[*appsv1.StatefulSet](reader))
}

// groupsOf maps a LeaderWorkerSet, or its leader StatefulSet, which has the same name, to all its groups that have a leader pod.
func groupsOf[T client.Object](reader client.Reader) func(context.Context, T) []types.NamespacedName {
	return func(ctx context.Context, object T) []types.NamespacedName {
		var leaders corev1.PodList
		err := reader.List(ctx, &leaders, client.InNamespace(object.GetNamespace()), client.MatchingFields{leadersOfSet: object.GetName()})
		if err != nil {
			return nil // Only a cache that is being stopped fails.
		}
		groups := make([]types.NamespacedName, len(leaders.Items))
		for i := range leaders.Items {
			groups[i] = client.ObjectKeyFromObject(&leaders.Items[i])
		}
		return groups
	}
}

// enqueue adds the keys that an event's object maps to. An update is both objects' concern: labels may have changed.
func enqueue[T client.Object](after delay[T], keys func(context.Context, T) []types.NamespacedName) handler.TypedFuncs[T, reconcile.Request] {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	addKeys := func(ctx context.Context, q queue, object T, found []types.NamespacedName) {
		for _, key := range found {
			q.AddAfter(reconcile.Request{NamespacedName: key}, after(ctx, object))
		}
	}
	add := func(ctx context.Context, q queue, object T) { addKeys(ctx, q, object, keys(ctx, object)) }
	return handler.TypedFuncs[T, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[T], q queue) { add(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[T], q queue) {
			before, now := keys(ctx, e.ObjectOld), keys(ctx, e.ObjectNew)
			if !slices.Equal(before, now) {
				addKeys(ctx, q, e.ObjectOld, before)
			}
			addKeys(ctx, q, e.ObjectNew, now)
		},
		DeleteFunc:  func(ctx context.Context, e event.TypedDeleteEvent[T], q queue) { add(ctx, q, e.Object) },
		GenericFunc: func(ctx context.Context, e event.TypedGenericEvent[T], q queue) { add(ctx, q, e.Object) },
	}
}

// somethingWeUseChanged drops updates that change nothing but the resource version: resyncs, and changes of fields that the cache
// doesn't keep.
func somethingWeUseChanged[T client.Object]() predicate.TypedPredicate[T] {
	return predicate.TypedFuncs[T]{
		UpdateFunc: func(e event.TypedUpdateEvent[T]) bool {
			before, isObject := reflect.TypeAssert[T](reflect.New(reflect.TypeOf(e.ObjectOld).Elem()))
			if !isObject {
				return true
			}
			reflect.ValueOf(before).Elem().Set(reflect.ValueOf(e.ObjectOld).Elem()) // Not deep: only the version is set.
			before.SetResourceVersion(e.ObjectNew.GetResourceVersion())
			return !equality.Semantic.DeepEqual(before, e.ObjectNew)
		},
	}
}

// podChanged does for pods what somethingWeUseChanged does for other objects. Most of what happens happens to pods, and most of a pod is
// empty in the cache: only what is there is compared.
func podChanged() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.TypedFuncs[*corev1.Pod]{
		UpdateFunc: func(e event.TypedUpdateEvent[*corev1.Pod]) bool {
			return e.ObjectOld.Status.Phase != e.ObjectNew.Status.Phase || moreThanPhaseChanged(e.ObjectOld, e.ObjectNew)
		},
	}
}

// moreThanPhaseChanged compares what trimPod keeps of a pod, but for its phase, what never changes and what no pass reads.
func moreThanPhaseChanged(before, after *corev1.Pod) bool {
	return before.UID != after.UID ||
		before.Generation != after.Generation ||
		!before.DeletionTimestamp.Equal(after.DeletionTimestamp) ||
		!maps.Equal(before.Labels, after.Labels) ||
		!maps.Equal(before.Annotations, after.Annotations) ||
		!slices.Equal(before.Finalizers, after.Finalizers) ||
		!equality.Semantic.DeepEqual(before.OwnerReferences, after.OwnerReferences) ||
		before.Spec.NodeName != after.Spec.NodeName ||
		!slices.Equal(before.Spec.SchedulingGates, after.Spec.SchedulingGates) ||
		before.Status.Reason != after.Status.Reason ||
		!equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) ||
		!equality.Semantic.DeepEqual(before.Status.InitContainerStatuses, after.Status.InitContainerStatuses) ||
		!equality.Semantic.DeepEqual(before.Status.ContainerStatuses, after.Status.ContainerStatuses)
}

// wishChanged drops updates of a LeaderWorkerSet that change only its status.
func wishChanged() predicate.TypedPredicate[*leaderworkersetv1.LeaderWorkerSet] {
	return predicate.TypedFuncs[*leaderworkersetv1.LeaderWorkerSet]{
		UpdateFunc: func(e event.TypedUpdateEvent[*leaderworkersetv1.LeaderWorkerSet]) bool {
			return e.ObjectOld.Generation != e.ObjectNew.Generation ||
				e.ObjectOld.UID != e.ObjectNew.UID ||
				(e.ObjectOld.DeletionTimestamp == nil) != (e.ObjectNew.DeletionTimestamp == nil) ||
				!equality.Semantic.DeepEqual(e.ObjectOld.Labels, e.ObjectNew.Labels) ||
				!equality.Semantic.DeepEqual(e.ObjectOld.Annotations, e.ObjectNew.Annotations)
		},
	}
}

// gone passes deletions.
func gone[T client.Object]() predicate.TypedPredicate[T] {
	return predicate.TypedFuncs[T]{
		CreateFunc:  func(event.TypedCreateEvent[T]) bool { return false },
		UpdateFunc:  func(event.TypedUpdateEvent[T]) bool { return false },
		GenericFunc: func(event.TypedGenericEvent[T]) bool { return false },
	}
}

// isLeaderPod passes leader pods: those that a pass over a set looks at.
func isLeaderPod() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.NewTypedPredicateFuncs(func(pod *corev1.Pod) bool { return isLeader(pod) })
}

// lifeChanged drops updates of worker pods that change no more than whether they have started, unless their set waits for that.
func lifeChanged(reader client.Reader) predicate.TypedPredicate[*corev1.Pod] {
	return predicate.TypedFuncs[*corev1.Pod]{
		UpdateFunc: func(e event.TypedUpdateEvent[*corev1.Pod]) bool {
			if moreThanPhaseChanged(e.ObjectOld, e.ObjectNew) {
				return true
			}
			phase := e.ObjectNew.Status.Phase
			return e.ObjectOld.Status.Phase != phase && (phase != corev1.PodRunning || waitsForStart(reader, e.ObjectNew))
		},
	}
}

// waitsForStart says whether it makes a difference to the set of a pod that the pod has started.
func waitsForStart(reader client.Reader, pod *corev1.Pod) bool {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	err := reader.Get(context.Background(), setOf(pod), lws)
	return err != nil || lws.RestartPolicy() == leaderworkersetv1.RecreateGroupAfterStart
}

// failedPod passes pods that have failed. Their StatefulSet is about to delete them, and from then on they only count as deleted: a crash that
// nobody saw.
func failedPod() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.NewTypedPredicateFuncs(func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed })
}

// moreThanStatusChanged drops updates of a StatefulSet that change only its status: a pass over a group looks at the pods themselves.
func moreThanStatusChanged() predicate.TypedPredicate[*appsv1.StatefulSet] {
	changed := somethingWeUseChanged[*appsv1.StatefulSet]()
	return predicate.TypedFuncs[*appsv1.StatefulSet]{
		UpdateFunc: func(e event.TypedUpdateEvent[*appsv1.StatefulSet]) bool {
			before := *e.ObjectOld
			before.Status = e.ObjectNew.Status
			return changed.Update(event.TypedUpdateEvent[*appsv1.StatefulSet]{ObjectOld: &before, ObjectNew: e.ObjectNew})
		},
	}
}

// orderObserved passes leader StatefulSets whose controller has just taken note of the last change: what a pass waits for.
func orderObserved() predicate.TypedPredicate[*appsv1.StatefulSet] {
	return predicate.TypedFuncs[*appsv1.StatefulSet]{
		CreateFunc: func(event.TypedCreateEvent[*appsv1.StatefulSet]) bool { return false },
		UpdateFunc: func(e event.TypedUpdateEvent[*appsv1.StatefulSet]) bool {
			_, worker := groupOf(e.ObjectNew)
			return !worker && e.ObjectNew.Status.ObservedGeneration > e.ObjectOld.Status.ObservedGeneration
		},
		DeleteFunc:  func(event.TypedDeleteEvent[*appsv1.StatefulSet]) bool { return false },
		GenericFunc: func(event.TypedGenericEvent[*appsv1.StatefulSet]) bool { return false },
	}
}

// leadersAppear passes leader StatefulSets that are new, also in the place of another one of the same name, or new to their set.
func leadersAppear() predicate.TypedPredicate[*appsv1.StatefulSet] {
	return predicate.And(
		predicate.NewTypedPredicateFuncs(func(sts *appsv1.StatefulSet) bool { _, ok := groupOf(sts); return !ok }),
		predicate.TypedFuncs[*appsv1.StatefulSet]{
			UpdateFunc: func(e event.TypedUpdateEvent[*appsv1.StatefulSet]) bool {
				return e.ObjectOld.UID != e.ObjectNew.UID ||
					!equality.Semantic.DeepEqual(metav1.GetControllerOf(e.ObjectOld), metav1.GetControllerOf(e.ObjectNew))
			},
			DeleteFunc: func(event.TypedDeleteEvent[*appsv1.StatefulSet]) bool { return false },
		},
	)
}

// withDefaults fills in the defaults of a LeaderWorkerSet that didn't pass through the schema of today.
func withDefaults(object any) (any, error) {
	if lws, ok := object.(*leaderworkersetv1.LeaderWorkerSet); ok {
		lws.ManagedFields = nil
		lws.Default()
	}
	return object, nil
}

// The cache keeps of every object what some pass reads, and nothing else: a pod's containers, volumes and managed fields are most of
// its size. Whoever reads a further field adds it here, and a pod's in moreThanPhaseChanged.

func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	trimmed := &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: trimmedMeta(pod.ObjectMeta)}
	trimmed.Annotations = ours(pod.Annotations)
	trimmed.Labels = ours(pod.Labels)
	if revision, ok := pod.Labels[appsv1.StatefulSetRevisionLabel]; ok {
		trimmed.Labels[appsv1.StatefulSetRevisionLabel] = revision
	}
	trimmed.Spec.SchedulingGates = pod.Spec.SchedulingGates
	if pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] != "" {
		trimmed.Spec.NodeName = pod.Spec.NodeName
	}
	trimmed.Status.Phase, trimmed.Status.Reason = pod.Status.Phase, pod.Status.Reason
	trimmed.Status.InitContainerStatuses = restartCounts(pod.Status.InitContainerStatuses)
	trimmed.Status.ContainerStatuses = restartCounts(pod.Status.ContainerStatuses)
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		switch {
		case condition.Type == corev1.PodReady && isLeader(pod): // Of workers, their StatefulSet tells how many are.
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, corev1.PodCondition{Type: condition.Type, Status: condition.Status})
		case snapshot.IsUnschedulable(condition) && isLeader(pod):
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, corev1.PodCondition{
				Type: condition.Type, Status: condition.Status, Reason: condition.Reason, Message: condition.Message,
			})
		}
	}
	return trimmed, nil
}

func restartCounts(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var counts []corev1.ContainerStatus
	for i := range statuses {
		if statuses[i].RestartCount > 0 {
			counts = append(counts, corev1.ContainerStatus{Name: statuses[i].Name, RestartCount: statuses[i].RestartCount})
		}
	}
	return counts
}

// trimStatefulSet keeps the pod template of leader StatefulSets only: a change of it is written as the difference to the old one.
func trimStatefulSet(object any) (any, error) {
	sts, ok := object.(*appsv1.StatefulSet)
	if !ok {
		return object, nil
	}
	trimmed := &appsv1.StatefulSet{TypeMeta: sts.TypeMeta, ObjectMeta: trimmedMeta(sts.ObjectMeta), Spec: sts.Spec}
	if _, worker := groupOf(sts); worker {
		trimmed.Spec.Template = corev1.PodTemplateSpec{}
		trimmed.Spec.VolumeClaimTemplates = nil
	}
	trimmed.Status.ObservedGeneration = sts.Status.ObservedGeneration
	trimmed.Status.ReadyReplicas = sts.Status.ReadyReplicas
	trimmed.Status.CurrentRevision = sts.Status.CurrentRevision
	return trimmed, nil
}

// trimRevision keeps of a StatefulSet's own revisions which revision of the LeaderWorkerSet they are of: their labels.
func trimRevision(object any) (any, error) {
	revision, ok := object.(*appsv1.ControllerRevision)
	if !ok {
		return object, nil
	}
	trimmed := &appsv1.ControllerRevision{TypeMeta: revision.TypeMeta, ObjectMeta: trimmedMeta(revision.ObjectMeta), Revision: revision.Revision}
	if isStatefulSetRevision(revision) {
		trimmed.Annotations = nil
	} else {
		trimmed.Data = revision.Data
	}
	return trimmed, nil
}

// trimService keeps who the Service belongs to, and whom it resolves: its spec is written once.
func trimService(object any) (any, error) {
	service, ok := object.(*corev1.Service)
	if !ok {
		return object, nil
	}
	trimmed := &corev1.Service{TypeMeta: service.TypeMeta, ObjectMeta: trimmedMeta(service.ObjectMeta)}
	trimmed.Spec.ClusterIP, trimmed.Spec.Selector = service.Spec.ClusterIP, service.Spec.Selector
	return trimmed, nil
}

// trimClaim keeps who the claim belongs to.
func trimClaim(object any) (any, error) {
	claim, ok := object.(*corev1.PersistentVolumeClaim)
	if !ok {
		return object, nil
	}
	return &corev1.PersistentVolumeClaim{TypeMeta: claim.TypeMeta, ObjectMeta: trimmedMeta(claim.ObjectMeta)}, nil
}

func trimmedMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.ManagedFields = nil
	return meta
}

// ours are the labels or annotations of the API group, the only ones of a pod that passes read.
func ours(all map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range all {
		if strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) {
			kept[key] = value
		}
	}
	return kept
}
