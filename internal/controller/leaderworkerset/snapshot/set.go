// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package snapshot holds what one pass may look at: the objects that the cache had at one moment, and the facts derived from
// them. Plain values, read-only.
package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/record"
)

// Set is what a pass over a LeaderWorkerSet looks at.
type Set struct {
	// LWS is the LeaderWorkerSet, with its defaults filled in.
	LWS *leaderworkersetv1.LeaderWorkerSet

	// Leaders is the object in the place of the leader StatefulSet, whoever it belongs to; nil if there is none.
	Leaders *appsv1.StatefulSet

	// Service is the object in the place of the shared headless Service, whoever it belongs to; nil if there is none.
	Service *corev1.Service

	// Revisions are the ControllerRevisions labeled as the set's, whoever they belong to.
	Revisions []*appsv1.ControllerRevision

	// CurrentKey is the key of the revision from which the StatefulSet controller creates leaders below the partition; empty if that isn't
	// known.
	CurrentKey string

	// Groups are the groups that have a leader pod of this set, by index, surge included.
	Groups []Group

	// Seen are the leaders that earlier passes of this process saw last, by the groups' index.
	Seen map[int32]SeenLeader

	// Remembered is what the leader StatefulSet tells of groups.
	Remembered record.Groups

	// Recorded is when lives were last written down by this process; zero if they weren't.
	Recorded time.Time

	// Told is when the status was last written by this process; zero if it wasn't.
	Told time.Time

	// Lives are what passes over the groups saw, by the groups' index.
	Lives map[int32]Life

	// Failures are what stood in the way when the set, and each of its groups, was last worked on.
	Failures []Failure
}

// Group is one group as a pass over its set sees it: cheap to look at, whatever its size.
type Group struct {
	// Index is the group's index.
	Index int32

	// Leader is the group's leader pod.
	Leader *corev1.Pod

	// Workers is the group's worker StatefulSet, which belongs to Leader; nil if there is none or it belongs to an earlier leader.
	Workers *appsv1.StatefulSet
}

// SeenLeader is a leader pod as the last pass over its set that saw it left it.
type SeenLeader struct {
	UID types.UID

	// Leaving says that its end is no news: the operator deletes it, or lets others do that for a rollout or because fewer groups are
	// asked for, or it was terminating when it was first seen.
	Leaving bool
}

// Failure is something that the API server refused, or that stands in the way of writing it.
type Failure struct {
	// Group is the group's index, or WholeSet.
	Group int32

	// Reason is the reason of the event and condition that tell of it: FailedCreate or FailedUpdate.
	Reason string

	// Message is what the API server said, or why the write couldn't be made.
	Message string
}

// WholeSet stands in the place of a group's index for what concerns the set.
const WholeSet int32 = -1

// InTheWay is the message about an object that has the name of a child of a LeaderWorkerSet and belongs to someone else.
func InTheWay(kind, name string) string {
	return fmt.Sprintf("%s %q exists and does not belong to this LeaderWorkerSet", kind, name)
}

// OwnedGroups puts the leader pods and worker StatefulSets of a LeaderWorkerSet together. Only what is controlled by the right owner
// counts: the leader StatefulSet by the LeaderWorkerSet, pods by the leader StatefulSet, worker StatefulSets by the pod.
func OwnedGroups(lws *leaderworkersetv1.LeaderWorkerSet, leaders *appsv1.StatefulSet, pods []*corev1.Pod, workers []*appsv1.StatefulSet) []Group {
	if leaders == nil || !metav1.IsControlledBy(leaders, lws) {
		return nil
	}
	workersOf := make(map[string]*appsv1.StatefulSet, len(workers))
	for _, sts := range workers {
		workersOf[sts.Name] = sts
	}
	groups := make([]Group, 0, len(pods))
	for _, pod := range pods {
		parent, index, ok := identity.Parse(pod.Name)
		if !ok || parent != leaders.Name || !metav1.IsControlledBy(pod, leaders) {
			continue
		}
		group := Group{Index: index, Leader: pod}
		if sts := workersOf[pod.Name]; sts != nil && metav1.IsControlledBy(sts, pod) {
			group.Workers = sts
		}
		groups = append(groups, group)
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Index, b.Index) })
	return groups
}

// OwnedRevisions are those of the revisions that belong to the LeaderWorkerSet, oldest first.
func OwnedRevisions(lws *leaderworkersetv1.LeaderWorkerSet, revisions []*appsv1.ControllerRevision) []*appsv1.ControllerRevision {
	var owned []*appsv1.ControllerRevision
	for _, revision := range revisions {
		if metav1.IsControlledBy(revision, lws) {
			owned = append(owned, revision)
		}
	}
	slices.SortFunc(owned, func(a, b *appsv1.ControllerRevision) int { return cmp.Compare(a.Revision, b.Revision) })
	return owned
}

// Size is the number of pods that the group was made with.
func (g Group) Size() int32 { return LeaderSize(g.Leader) }

// Revision is the key of the revision that the group was made from.
func (g Group) Revision() string { return g.Leader.Labels[leaderworkersetv1.RevisionLabelKey] }

// Terminating says whether the group is going away.
func (g Group) Terminating() bool { return g.Leader.DeletionTimestamp != nil }

// Ready says whether all pods of the group are ready and belong together: the leader, and size-1 workers of its own revision.
func (g Group) Ready() bool {
	if g.Terminating() || !PodReady(g.Leader) {
		return false
	}
	wanted := g.Size() - 1
	return wanted == 0 || (g.Workers != nil &&
		g.Workers.DeletionTimestamp == nil &&
		g.Workers.Labels[leaderworkersetv1.RevisionLabelKey] == g.Revision() &&
		ptr.Deref(g.Workers.Spec.Replicas, 1) == wanted &&
		g.Workers.Status.ObservedGeneration >= g.Workers.Generation &&
		g.Workers.Status.ReadyReplicas == wanted)
}

// HasFailed says whether the group has failed in its present life. It waits to be recreated, or has no restarts left, though the kubelet may
// have made its pods ready again.
func (s *Set) HasFailed(group Group) bool {
	life, leader := s.Lives[group.Index], group.Leader.UID
	return (life.Leader == leader && life.Failure != "") || (leader != "" && s.Remembered[group.Index].Failed == leader)
}

// LeaderSize is the number of pods in the group of a leader, from its annotation; 1 if that can't be read.
func LeaderSize(leader *corev1.Pod) int32 {
	if size, ok := identity.ParseIndex(leader.Annotations[leaderworkersetv1.SizeAnnotationKey]); ok && size > 0 {
		return size
	}
	return 1
}

// Unschedulable is why no node can take the pod; empty if one can, or if the scheduler hasn't looked yet.
func Unschedulable(pod *corev1.Pod) string {
	for i := range pod.Status.Conditions {
		if condition := &pod.Status.Conditions[i]; IsUnschedulable(condition) {
			return condition.Message
		}
	}
	return ""
}

// IsUnschedulable says whether the condition of a pod tells that no node can take it.
func IsUnschedulable(condition *corev1.PodCondition) bool {
	return condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse && condition.Reason == corev1.PodReasonUnschedulable
}

// WaitsForPreviousGroup says whether the leader isn't to be scheduled before the pods of its group's previous life are gone.
func WaitsForPreviousGroup(leader *corev1.Pod) bool {
	return slices.ContainsFunc(leader.Spec.SchedulingGates, IsPreviousGroupGate)
}

// IsPreviousGroupGate says whether the scheduling gate is the operator's.
func IsPreviousGroupGate(gate corev1.PodSchedulingGate) bool {
	return gate.Name == leaderworkersetv1.PreviousGroupSchedulingGate
}

// PodReady says whether the pod's Ready condition is True.
func PodReady(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if condition := &pod.Status.Conditions[i]; condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
