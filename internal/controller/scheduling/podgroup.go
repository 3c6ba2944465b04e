// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"crypto/sha256"
	"encoding/hex"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Group is one incarnation of a group.
type Group struct {
	// Set is the group's set.
	Set *leaderworkersetv1.LeaderWorkerSet

	// Index is the group's index, as the value of a label.
	Index string

	// Leader is the group's leader pod.
	Leader *corev1.Pod

	// Size and PriorityClassName are those of the group's own revision.
	Size              int32
	PriorityClassName string
}

// PodGroup is what the scheduler has to know of the pods of a unit.
type PodGroup struct {
	metav1.ObjectMeta

	Unit Unit

	// MinCount is how many pods are scheduled at the same time; 0 if they are scheduled one by one.
	MinCount int32

	// PriorityClassName is that of the pods.
	PriorityClassName string
}

// suffixLength is the number of hexadecimal digits that tell the PodGroups of a group apart. There are at most a few at
// the same time: those of the present incarnation, and of those that terminate.
const suffixLength = 8

// Name returns the name of a PodGroup: that of the group's leader, and a suffix. The suffix follows from a seed that
// only one incarnation has. The name has at most 9 characters more than the leader's.
func Name(leader string, seed types.UID) string {
	sum := sha256.Sum256([]byte(seed))
	return leader + "-" + hex.EncodeToString(sum[:])[:suffixLength]
}

// NameOf returns the name of the PodGroup that a pod is in; empty if the pod is in none.
func NameOf(pod *corev1.Pod) string {
	if pod.Spec.SchedulingGroup == nil || pod.Spec.SchedulingGroup.PodGroupName == nil {
		return ""
	}
	return *pod.Spec.SchedulingGroup.PodGroupName
}

// WorkersName returns the name of the PodGroup that the workers of a leader are in; empty if they are in none. It
// follows from the leader pod alone, so that a group is never split.
//
// If the workers are in a PodGroup with their leader, the leader has its name. The webhook chose it when the leader was
// admitted. A leader that was admitted without has workers without. If the workers have a PodGroup of their own, the
// leader's UID is the seed of its name.
func WorkersName(spec *leaderworkersetv1.Scheduling, leader *corev1.Pod) string {
	for _, unit := range Units(spec) {
		switch unit.Role {
		case Replica:
			return NameOf(leader)
		case Worker:
			return Name(leader.Name, leader.UID)
		}
	}
	return ""
}

// PodGroups returns the PodGroups of an incarnation: one for each unit that its pods are in.
func (g *Group) PodGroups() []PodGroup {
	var groups []PodGroup
	for _, unit := range Units(g.Set.Spec.Scheduling) {
		name := NameOf(g.Leader)
		if unit.Role == Worker {
			name = WorkersName(g.Set.Spec.Scheduling, g.Leader)
		}
		if name == "" || unit.pods(g.Size) == 0 {
			continue
		}
		group := PodGroup{ObjectMeta: g.meta(name), Unit: unit, PriorityClassName: g.PriorityClassName}
		if unit.Policy.Gang != nil {
			group.MinCount = unit.pods(g.Size)
		}
		groups = append(groups, group)
	}
	return groups
}

func (g *Group) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: g.Set.Namespace,
		Labels: map[string]string{
			leaderworkersetv1.SetNameLabelKey:    g.Set.Name,
			leaderworkersetv1.GroupIndexLabelKey: g.Index,
			leaderworkersetv1.RevisionLabelKey:   g.Leader.Labels[leaderworkersetv1.RevisionLabelKey],
		},
		Annotations: map[string]string{leaderworkersetv1.LeaderUIDAnnotationKey: string(g.Leader.UID)},
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(g.Set, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet")),
		},
	}
}
