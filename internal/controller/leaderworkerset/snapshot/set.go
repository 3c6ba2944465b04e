// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package snapshot holds what one pass may look at: the objects that the cache had when the pass began, and facts
// derived from them. Plain values, read-only.
package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// Set is what a pass over a LeaderWorkerSet looks at.
type Set struct {
	// LWS is the LeaderWorkerSet, with its defaults filled in.
	LWS *leaderworkersetv1.LeaderWorkerSet

	// Leaders is the object that has the name of the leader StatefulSet, whoever owns it; nil if there is none.
	Leaders *appsv1.StatefulSet

	// Service is the object that has the name of the shared headless Service, whoever owns it; nil if there is none.
	Service *corev1.Service

	// Revisions are the ControllerRevisions that carry the set's label, whoever owns them.
	Revisions []*appsv1.ControllerRevision

	// BelowPartitionKey is the key of the revision at which the StatefulSet controller creates leaders below the
	// partition. It is empty if that isn't known.
	BelowPartitionKey string

	// LostWorkers is a worker StatefulSet of the leader StatefulSet's revision, with its pod template. Nil unless that
	// revision was deleted: then the StatefulSets alone show what it was. Nil as well if there are no such workers.
	LostWorkers *appsv1.StatefulSet

	// Groups are the groups that have a leader pod of this set, by index, surge included.
	Groups []Group

	// Scheduling are the features that schedule pods together.
	Scheduling scheduling.Features

	// MissingPods is what is known of missing leaders.
	MissingPods
}

// MaxMissing bounds how many missing pods of a StatefulSet a pass looks at. A set may ask for a million groups. The
// StatefulSet controller creates the lowest pod first and stops at a refusal, so the others say nothing more.
const MaxMissing = 1000

// MissingLeaders returns the indices of the groups without a leader pod, lowest first, MaxMissing at most.
func (s *Set) MissingLeaders() []int32 {
	leaders := s.OwnLeaders()
	if leaders == nil || leaders.DeletionTimestamp != nil {
		return nil
	}
	var missing []int32
	next := 0
	for index := range ptr.Deref(leaders.Spec.Replicas, 1) {
		for next < len(s.Groups) && s.Groups[next].Index < index {
			next++
		}
		if next == len(s.Groups) || s.Groups[next].Index != index {
			missing = append(missing, index)
		}
		if len(missing) == MaxMissing {
			break
		}
	}
	return missing
}

// OwnLeaders returns the leader StatefulSet if the set owns it, else nil.
func (s *Set) OwnLeaders() *appsv1.StatefulSet {
	if s.Leaders != nil && metav1.IsControlledBy(s.Leaders, s.LWS) {
		return s.Leaders
	}
	return nil
}

// LostKey returns the key of the leader StatefulSet's revision if no revision has that key. It is empty otherwise.
func (s *Set) LostKey() string {
	leaders := s.OwnLeaders()
	if leaders == nil {
		return ""
	}
	key := leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	for _, revision := range s.Revisions {
		if revision.Labels[leaderworkersetv1.RevisionLabelKey] == key {
			return ""
		}
	}
	return key
}

// Group is one group as a pass over its set looks at it: cheap, whatever the group's size.
type Group struct {
	// Index is the group's index.
	Index int32

	// Leader is the group's leader pod.
	Leader *corev1.Pod

	// Workers is the group's worker StatefulSet, which Leader owns. Nil if there is none, or if an earlier leader owns it.
	Workers *appsv1.StatefulSet

	// Observed is what the last pass over the group observed; nil if none has observed this leader. Its count of ready
	// workers is ahead of the status of Workers, which the StatefulSet controller writes after its pods have changed.
	Observed *Observation

	// Uninjected is a pod of the group that was created without the webhook; nil if there is none.
	Uninjected *corev1.Pod

	// Claims are the volume claims of Leader if the leader is surplus and a scale-down deletes them, else nil.
	Claims []*corev1.PersistentVolumeClaim
}

// SurplusClaims returns the names of the volume claims that are deleted with a group; nil for a group that the leader
// StatefulSet asks for, and for one whose claims are kept.
func (s *Set) SurplusClaims(group Group) []string {
	leaders := s.OwnLeaders()
	if leaders == nil || !isSurplus(leaders, group) || !deletesClaims(leaders) {
		return nil
	}
	var names []string
	for i := range leaders.Spec.VolumeClaimTemplates {
		names = append(names, leaders.Spec.VolumeClaimTemplates[i].Name+"-"+group.Leader.Name)
	}
	return names
}

// SurplusGroups returns the groups beyond the replicas of the leader StatefulSet that aren't deleted yet, lowest first.
func (s *Set) SurplusGroups() []Group {
	leaders := s.OwnLeaders()
	if leaders == nil {
		return nil
	}
	var surplus []Group
	for _, group := range s.Groups {
		if isSurplus(leaders, group) {
			surplus = append(surplus, group)
		}
	}
	return surplus
}

func isSurplus(leaders *appsv1.StatefulSet, group Group) bool {
	return group.Index >= ptr.Deref(leaders.Spec.Replicas, 1) && !group.Terminating()
}

// deletesClaims reports whether a scale-down deletes volume claims.
func deletesClaims(leaders *appsv1.StatefulSet) bool {
	policy := leaders.Spec.PersistentVolumeClaimRetentionPolicy
	return policy != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// NameTaken is the message about an object that has the name of a child of a LeaderWorkerSet and belongs to someone
// else.
func NameTaken(kind, name string) string {
	return fmt.Sprintf("%s %q exists and does not belong to this LeaderWorkerSet", kind, name)
}

// OwnedGroups puts the leader pods and worker StatefulSets of a LeaderWorkerSet together. An object counts only if the
// right object controls it: the LeaderWorkerSet the leader StatefulSet, that the leader pods, and each pod its worker
// StatefulSet.
func OwnedGroups(
	lws *leaderworkersetv1.LeaderWorkerSet, leaders *appsv1.StatefulSet, pods []*corev1.Pod, workers []*appsv1.StatefulSet,
) []Group {
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

// OwnedRevisions returns the revisions that the LeaderWorkerSet owns, oldest first.
func OwnedRevisions(
	lws *leaderworkersetv1.LeaderWorkerSet, revisions []*appsv1.ControllerRevision,
) []*appsv1.ControllerRevision {
	var owned []*appsv1.ControllerRevision
	for _, revision := range revisions {
		if metav1.IsControlledBy(revision, lws) {
			owned = append(owned, revision)
		}
	}
	slices.SortFunc(owned, func(a, b *appsv1.ControllerRevision) int { return cmp.Compare(a.Revision, b.Revision) })
	return owned
}

// Size returns the number of pods that the group was created with.
func (g Group) Size() int32 { return LeaderSize(g.Leader) }

// Revision returns the key of the revision that the group was created from.
func (g Group) Revision() string { return g.Leader.Labels[leaderworkersetv1.RevisionLabelKey] }

// Terminating reports whether the leader pod is marked for deletion.
func (g Group) Terminating() bool { return g.Leader.DeletionTimestamp != nil }

// Ready reports whether all pods of the group are ready and belong together: the leader, and size-1 workers of its own
// revision. A pod that was created without the webhook can't find the others.
func (g Group) Ready() bool {
	if g.Uninjected != nil || g.Terminating() || !PodReady(g.Leader) {
		return false
	}
	wanted := g.Size() - 1
	return wanted == 0 || (g.Workers != nil &&
		g.Workers.DeletionTimestamp == nil &&
		g.Workers.Labels[leaderworkersetv1.RevisionLabelKey] == g.Revision() &&
		ptr.Deref(g.Workers.Spec.Replicas, 1) == wanted &&
		g.ReadyWorkers() == wanted)
}

// ReadyWorkers returns how many workers are ready. Until a pass has observed the group, the status of their StatefulSet
// says so.
func (g Group) ReadyWorkers() int32 {
	switch {
	case g.Observed != nil:
		return g.Observed.ReadyWorkers
	case g.Workers == nil || g.Workers.Status.ObservedGeneration < g.Workers.Generation:
		return 0
	default:
		return g.Workers.Status.ReadyReplicas
	}
}

// RefusedWorkers returns what the API server said of missing workers; empty if it refuses none.
func (g Group) RefusedWorkers() string {
	if g.Observed == nil {
		return ""
	}
	return g.Observed.RefusedWorkers
}

// Unconfirmed reports whether the API server has refused a worker that doesn't count as refused yet.
func (g Group) Unconfirmed() bool { return g.Observed != nil && g.Observed.Unconfirmed }

// LacksRoom reports whether the group lacks room: the API server refuses a worker, or for that long no node could take
// a pod, or another controller's scheduling gate held one. Shorter times don't count: a claim may be bound meanwhile,
// or a queue admit the pod. If none counts yet, confirmedIn is how long it takes until one does; 0 if nothing is to
// confirm. A time in the future, of another clock, counts.
func (g Group) LacksRoom(now time.Time, confirmAfter time.Duration) (lacksRoom bool, confirmedIn time.Duration) {
	if g.Terminating() {
		return false, 0
	}
	since := waitsForRoomSince(g.Leader)
	if g.Observed != nil {
		since = earlier(since, g.Observed.WaitsForRoomSince)
	}
	lasted := now.Sub(since)
	switch {
	case g.RefusedWorkers() != "":
		return true, 0
	case since.IsZero():
		return false, 0
	case lasted >= 0 && lasted < confirmAfter:
		return false, confirmAfter - lasted
	default:
		return true, 0
	}
}
