// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// The functions of this file read objects for the world. The operator has code for the same, which the world must not
// share: a mistake in shared code would hide from the checks.

// budgetOf returns how many groups a rollout may add, and how many it may make unavailable. Defaults are filled in.
func budgetOf(lws *leaderworkersetv1.LeaderWorkerSet) (surge, unavailable int32) {
	config, replicas := lws.Spec.RolloutStrategy.RollingUpdateConfiguration, *lws.Spec.Replicas
	surge = min(int32(math.Ceil(numberOf(config.MaxSurge, replicas))), replicas)
	unavailable = int32(math.Floor(numberOf(config.MaxUnavailable, replicas)))
	if surge+unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// numberOf returns a number, or a percentage of replicas, which may be a fraction.
func numberOf(value *intstr.IntOrString, replicas int32) float64 {
	if percent, isPercent := strings.CutSuffix(value.StrVal, "%"); isPercent {
		number, err := strconv.ParseFloat(percent, 64)
		if err != nil {
			panic(err) // The CRD's schema refuses it.
		}
		return number * float64(replicas) / 100
	}
	return float64(value.IntVal)
}

// carriedRelease says which groups a leader StatefulSet releases to its revision.
type carriedRelease struct {
	Revision  string  `json:"revision"`
	Partition int32   `json:"partition"`
	Also      []int32 `json:"groups"`
	Deferred  []int32 `json:"deferred"`
}

// releaseOf returns the release of a leader StatefulSet. With the strategy OnDelete, its annotation has the partition.
// An annotation about another revision releases nothing.
func releaseOf(leaders *appsv1.StatefulSet) carriedRelease {
	var carried carriedRelease
	err := json.Unmarshal([]byte(leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]), &carried)
	isStale := carried.Revision != "" && carried.Revision != leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	if err != nil || isStale {
		carried = carriedRelease{Partition: *leaders.Spec.Replicas}
	}
	if !isOnDelete(leaders) {
		carried.Partition = partitionOf(leaders)
	}
	return carried
}

func (r carriedRelease) includes(index int32) bool {
	return index >= r.Partition || slices.Contains(r.Also, index)
}

func isOnDelete(leaders *appsv1.StatefulSet) bool {
	return leaders.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
}

// needsOnDelete reports whether only the strategy OnDelete creates a missing leader at its revision: the group is below
// the partition, and released.
func needsOnDelete(leaders *appsv1.StatefulSet, missing int32) bool {
	released := releaseOf(leaders)
	return missing < released.Partition && slices.Contains(released.Also, missing) &&
		!slices.Contains(released.Deferred, missing)
}

// templateOf returns the template of a revision of a LeaderWorkerSet, with defaults filled in.
func templateOf(revision *appsv1.ControllerRevision) (*leaderworkersetv1.LeaderWorkerTemplate, error) {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := json.Unmarshal(revision.Data.Raw, lws); err != nil {
		return nil, err
	}
	lws.Default()
	return &lws.Spec.LeaderWorkerTemplate, nil
}

// leaderTemplateOf returns the template of leader pods.
func leaderTemplateOf(template *leaderworkersetv1.LeaderWorkerTemplate) *corev1.PodTemplateSpec {
	if template.LeaderTemplate != nil {
		return template.LeaderTemplate
	}
	return &template.WorkerTemplate
}

// sizeOf returns the number of pods in the group of a leader.
func sizeOf(leader *corev1.Pod) int32 {
	return numberIn(leader.Annotations[leaderworkersetv1.SizeAnnotationKey])
}

// specReplicas returns the replicas of the LeaderWorkerSet for which its leader StatefulSet was written, without surge.
func specReplicas(leaders *appsv1.StatefulSet) int32 {
	return numberIn(leaders.Annotations[leaderworkersetv1.ReplicasAnnotationKey])
}

// numberIn returns the number of an annotation; 0 if that has none.
func numberIn(annotation string) int32 {
	number, _ := strconv.ParseInt(annotation, 10, 32)
	return int32(number)
}

// restartsOf returns how often the containers of a pod have restarted.
func restartsOf(pod *corev1.Pod) int32 {
	count := int32(0)
	for _, status := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		count += status.RestartCount
	}
	return count
}

// podIsReady reports whether the pod's Ready condition is True.
func podIsReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// split returns the parent and the ordinal of a name such as "a-0-1". ok is false for other names.
func split(name string) (parent string, ordinal int32, ok bool) {
	dash := strings.LastIndex(name, "-")
	if dash <= 0 {
		return "", 0, false
	}
	number, err := strconv.ParseInt(name[dash+1:], 10, 32)
	return name[:dash], int32(number), err == nil
}

// joined returns the name of the child of that ordinal.
func joined(parent string, ordinal int32) string { return parent + "-" + strconv.Itoa(int(ordinal)) }

// indexOf returns the index of the group of a leader.
func indexOf(leader *corev1.Pod) int32 {
	_, index, _ := split(leader.Name)
	return index
}

func revisionOf(object client.Object) string {
	return object.GetLabels()[leaderworkersetv1.RevisionLabelKey]
}

// readyGroups reports by the UID of its leader whether a group is ready.
type readyGroups map[types.UID]bool

// readyInCache returns the groups of a LeaderWorkerSet that are ready according to the cache; none for other keys.
// Passes over groups look at workers, those over sets at leaders: counted are the groups whose workers were all ready
// when the last pass over the group began. A group that had no such pass is as ready as its StatefulSet's status.
func readyInCache(cache *lateCache, key types.NamespacedName, counted readyGroups) readyGroups {
	ready := readyGroups{}
	lws, isSet := cache.views[kindLeaderWorkerSet].objects[key].(*leaderworkersetv1.LeaderWorkerSet)
	leaders, hasLeaders := cache.views[kindStatefulSet].objects[key].(*appsv1.StatefulSet)
	if !isSet || !hasLeaders || !metav1.IsControlledBy(leaders, lws) {
		return ready
	}
	for _, object := range cache.views[kindPod].objects {
		if leader, ok := object.(*corev1.Pod); ok && metav1.IsControlledBy(leader, leaders) {
			workers, _ := cache.views[kindStatefulSet].objects[client.ObjectKeyFromObject(leader)].(*appsv1.StatefulSet)
			allWorkers, hadPass := counted[leader.UID]
			ready[leader.UID] = podIsReady(leader) && leader.DeletionTimestamp == nil &&
				(sizeOf(leader) == 1 || (hadPass && allWorkers) || (!hadPass && reportsReady(workers, leader)))
		}
	}
	return ready
}

// countWorkers adds the group of a leader to the counted ones, if the key is one's.
func countWorkers(cache *lateCache, key types.NamespacedName, counted readyGroups) {
	leader, isPod := cache.views[kindPod].objects[key].(*corev1.Pod)
	workers, hasWorkers := cache.views[kindStatefulSet].objects[key].(*appsv1.StatefulSet)
	if !isPod {
		return
	}
	ready := int32(0)
	for _, object := range cache.views[kindPod].objects {
		pod, ok := object.(*corev1.Pod)
		if ok && hasWorkers && metav1.IsControlledBy(workers, leader) && metav1.IsControlledBy(pod, workers) &&
			pod.DeletionTimestamp == nil && podIsReady(pod) {
			ready++
		}
	}
	counted[leader.UID] = ready == sizeOf(leader)-1
}

// reportsReady reports whether the status of a worker StatefulSet, which may be nil, says that all workers are ready.
func reportsReady(workers *appsv1.StatefulSet, leader *corev1.Pod) bool {
	count := sizeOf(leader) - 1
	return workers != nil && metav1.IsControlledBy(workers, leader) && workers.DeletionTimestamp == nil &&
		revisionOf(workers) == revisionOf(leader) && ptr.Deref(workers.Spec.Replicas, 1) == count &&
		workers.Status.ObservedGeneration >= workers.Generation && workers.Status.ReadyReplicas == count
}

// lowestMissingInCache returns the lowest index without a leader of a LeaderWorkerSet, according to the cache.
func lowestMissingInCache(cache *lateCache, set types.NamespacedName) int32 {
	for index := int32(0); ; index++ {
		leader := types.NamespacedName{Namespace: set.Namespace, Name: joined(set.Name, index)}
		if cache.views[kindPod].objects[leader] == nil {
			return index
		}
	}
}

// needlesslyOnDelete returns the leader StatefulSet of a LeaderWorkerSet as the cache shows it, if it has the strategy
// OnDelete, and the lowest missing leader doesn't need that; else nil.
func needlesslyOnDelete(cache *lateCache, set types.NamespacedName, missing int32) *appsv1.StatefulSet {
	lws, isSet := cache.views[kindLeaderWorkerSet].objects[set].(*leaderworkersetv1.LeaderWorkerSet)
	leaders, hasLeaders := cache.views[kindStatefulSet].objects[set].(*appsv1.StatefulSet)
	if !isSet || lws.DeletionTimestamp != nil || !hasLeaders || !isOnDelete(leaders) || needsOnDelete(leaders, missing) {
		return nil
	}
	return leaders
}
