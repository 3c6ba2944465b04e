// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// State is what a set does, in a word.
type State string

// The states of a set, the one that needs help first.
const (
	StateUnobserved State = "Unobserved"
	StateDegraded   State = "Degraded"
	StateRefused    State = "Refused"
	StateDeleting   State = "Deleting"
	StateUpdating   State = "Updating"
	StateUnready    State = "Progressing"
	StateHeld       State = "Held"
	StateAvailable  State = "Available"
)

// StateOf returns the state of a set by its status. Another controller's status may lack some conditions.
func StateOf(lws *leaderworkersetv1.LeaderWorkerSet) State {
	set := Set{LWS: lws}
	update := set.Condition(leaderworkersetv1.ConditionUpdateInProgress)
	switch {
	case lws.DeletionTimestamp != nil:
		return StateDeleting
	case len(lws.Status.Conditions) == 0:
		return StateUnobserved
	case set.Holds(leaderworkersetv1.ConditionDegraded):
		return StateDegraded
	case set.Holds(leaderworkersetv1.ConditionReplicaFailure):
		return StateRefused
	case set.Holds(leaderworkersetv1.ConditionUpdateInProgress):
		return StateUpdating
	case !set.Holds(leaderworkersetv1.ConditionAvailable):
		return StateUnready
	case update != nil && update.Reason == leaderworkersetv1.ReasonHeldByPartition:
		return StateHeld
	default:
		return StateAvailable
	}
}

// State returns the state of the set.
func (s *Set) State() State { return StateOf(s.LWS) }

// Count returns how many groups the spec asks for, how many of them are ready, and how many are of the current
// revision.
func (s *Set) Count() (asked, ready, updated int) {
	for _, group := range s.Groups {
		if group.IsSurge {
			continue
		}
		asked++
		if group.IsReady {
			ready++
		}
		if s.IsCurrent(group) {
			updated++
		}
	}
	return asked, ready, updated
}

// IsCurrent reports whether a group exists and is of the current revision.
func (s *Set) IsCurrent(group Group) bool { return group.Leader != nil && group.Revision == s.Key() }

// IsHeld reports whether the partition keeps a group at an earlier revision.
func (s *Set) IsHeld(group Group) bool {
	return group.Leader != nil && !s.IsCurrent(group) && group.Index < s.Partition
}

// IsUpdating reports whether a rolling update is in progress, by the status.
func (s *Set) IsUpdating() bool { return s.Holds(leaderworkersetv1.ConditionUpdateInProgress) }

// ToUpdate returns the groups that the rolling update has yet to replace.
func (s *Set) ToUpdate() []Group {
	return s.where(func(group Group) bool {
		return !group.IsSurge && group.Index >= s.Partition && !s.IsCurrent(group)
	})
}

// Held returns the groups that the partition keeps at an earlier revision.
func (s *Set) Held() []Group { return s.where(s.IsHeld) }

// Unready returns the groups that aren't ready, or have no restarts left.
func (s *Set) Unready() []Group {
	return s.where(func(group Group) bool { return group.Reason != "" })
}

func (s *Set) where(is func(Group) bool) []Group {
	var found []Group
	for _, group := range s.Groups {
		if is(group) {
			found = append(found, group)
		}
	}
	return found
}

// Indices returns the indices of groups.
func Indices(groups []Group) []int32 {
	indices := make([]int32, 0, len(groups))
	for _, group := range groups {
		indices = append(indices, group.Index)
	}
	return indices
}

// Group returns the group of an index; nil if neither the spec asks for it nor it exists.
func (s *Set) Group(index int32) *Group {
	for i := range s.Groups {
		if s.Groups[i].Index == index {
			return &s.Groups[i]
		}
	}
	return nil
}

// Number returns the number of the revision of a key, or the key itself if there is no such revision.
func (s *Set) Number(key string) string {
	if found := revision.Find(s.Revisions, key); found != nil {
		return strconv.FormatInt(found.Revision, 10)
	}
	return key
}

// Earlier returns the key of the revision that most of the groups have that aren't of the current one; empty if there
// are none.
func (s *Set) Earlier() string {
	counts := map[string]int{}
	for _, group := range s.Groups {
		if group.Leader != nil && !s.IsCurrent(group) {
			counts[group.Revision]++
		}
	}
	earlier := ""
	for key, count := range counts {
		if count > counts[earlier] || (count == counts[earlier] && key < earlier) {
			earlier = key
		}
	}
	return earlier
}

// RolloutBegan returns when the rolling update began; zero if none is in progress.
func (s *Set) RolloutBegan() time.Time {
	if update := s.Condition(leaderworkersetv1.ConditionUpdateInProgress); update != nil &&
		update.Status == metav1.ConditionTrue {
		return update.LastTransitionTime.Time
	}
	return time.Time{}
}

// Released returns the index from which on all groups are released to the revision of the spec. None is while the
// controller hasn't observed the spec.
func (s *Set) Released() int32 {
	replicas := *s.LWS.Spec.Replicas
	if s.Leaders == nil || s.LWS.Status.ObservedGeneration < s.LWS.Generation ||
		s.Leaders.Labels[leaderworkersetv1.RevisionLabelKey] != s.Key() {
		return replicas
	}
	return min(release.Of(s.Leaders).Partition, replicas)
}

// Revision is a line of the history.
type Revision struct {
	*appsv1.ControllerRevision

	// Groups are the indices of the groups that are of the revision.
	Groups []int32

	// IsCurrent says that the spec asks for it.
	IsCurrent bool

	// Cause is the change cause; empty if none is known.
	Cause string
}

// changeCause is the annotation in which kubectl looks for the cause of a change.
const changeCause = "kubernetes.io/change-cause"

// History returns the revisions of the set, oldest first.
//
// The change cause is an annotation of the set. The StatefulSets inherit it, and their own revisions keep the one of
// the time at which they were made.
func (s *Set) History() []Revision {
	_, ofStatefulSets := s.revisions()
	slices.SortStableFunc(ofStatefulSets, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Compare(b.Revision, a.Revision)
	})
	history := make([]Revision, 0, len(s.Revisions))
	for _, stored := range s.Revisions {
		key := revision.Key(stored)
		line := Revision{ControllerRevision: stored, IsCurrent: stored == s.Current, Cause: stored.Annotations[changeCause]}
		if found := revision.Find(ofStatefulSets, key); found != nil && line.Cause == "" {
			line.Cause = found.Annotations[changeCause]
		}
		if line.IsCurrent {
			line.Cause = cmp.Or(s.LWS.Annotations[changeCause], line.Cause)
		}
		line.Groups = Indices(s.where(func(group Group) bool { return group.Leader != nil && group.Revision == key }))
		history = append(history, line)
	}
	return history
}

// Before returns the revision to go back to: the one with a number, or, if the number is 0, the last one before the
// current one. It is nil if there is none.
func (s *Set) Before(number int64) *appsv1.ControllerRevision {
	for _, stored := range slices.Backward(s.Revisions) {
		if stored.Revision == number || (number == 0 && stored != s.Current) {
			return stored
		}
	}
	return nil
}
