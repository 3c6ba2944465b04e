// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package release decides which groups of a rolling update are released to the current revision, and keeps the leader
// StatefulSet, its controller and the webhook to that.
//
// A group is released once its next leader pod has to be created at the current revision. For most rollouts, the
// partition of the leader StatefulSet says which groups those are: all from the partition on.
//
// # Why a partition is not enough
//
// A set of 4 groups, maxUnavailable 1. Group 0 is broken, and the user pushes revision 2. Group 0 counts against the
// budget: no other group may be replaced, so the partition has to stay at 4. Yet group 0 is the group to replace, at
// revision 2. No partition says "group 0, but not group 3". So the operator releases group 0 as well:
//
//	step               1                    2                    3                    4
//	operator, set      Release{4, [0]},     OnDelete, as group   RollingUpdate,       group 0 is ready:
//	pass               deletes pod a-0      0 is missing         partition 4          Release{3, [0]},
//	                                                                                  deletes pod a-3
//	operator, group    stops the workers    -                    creates the workers  stops and creates
//	passes             of group 0                                of group 0           those of group 3
//	StatefulSet        observes             creates a-0 at       keeps groups 1-3     creates a-3 at
//	controller         partition 4          revision 2           at revision 1        revision 2
//	webhook            -                    rejects a-0 at 1,    -                    admits a-3
//	                                        admits it at 2
//
// And so on from the highest index. When the partition comes down to 0, it includes group 0, and the annotation that
// names it is removed.
//
// A StatefulSet with the strategy RollingUpdate creates every pod below its partition at the earlier revision. One with
// OnDelete creates every pod at the current revision. So the operator switches between both: the strategy is OnDelete
// while the lowest missing leader is one of Also, else RollingUpdate. The lowest is what counts: the StatefulSet
// controller creates missing pods from there on, and a refusal or rejection ends its pass.
//
// # Groups that are deferred
//
// A StatefulSet can't be asked to leave out one pod. So the annotation names the groups that get no pods for now, the
// operator deletes their leaders, and the webhook rejects new ones. The StatefulSet controller stops at such a leader:
// those above it aren't created either. Therefore the highest groups are deferred.
//
// # When one of them is late, or dies
//
//   - The StatefulSet controller is late: it creates a leader by an older strategy or partition, at the wrong revision.
//     The webhook rejects that pod, see [Rejection]. The controller tries again, and by then has observed the change.
//     So the operator deletes a leader as soon as its release is written, and saves the wait for the controller's
//     status.
//   - The cache is late: a group that looks outdated may have been replaced already. Before the operator deletes a
//     leader, it checks that the spec of the StatefulSet is as observed. A write of the release is such a check itself.
//   - The operator dies at any step: the partition and the annotation on the StatefulSet are the whole release. The
//     next operator reads them, and goes on from there. So does the webhook of another replica.
//   - The replica was elected just before: its cache may not show the last release of its predecessor yet. A leader
//     that its webhook admits at the earlier revision then is replaced like any outdated one.
//   - A new revision comes in the middle: the StatefulSet controller may delete leaders at any time that were released
//     to the revision before and still run. The operator deletes them first, while the old release still names them.
//     Only then does it write the first release to the new revision, which is decided as if no group were released.
//   - The webhook is down: its failure policy refuses all pods of the set. None is created at the wrong revision.
package release

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// Release says which groups are released to the current revision.
type Release struct {
	// Partition is the index from which on all groups are released.
	Partition int32 `json:"partition"`

	// Also are the indices of groups below Partition that are released as well, highest first.
	Also []int32 `json:"groups,omitempty"`

	// Deferred are the indices of groups that get no pods for now, highest first: others need the room that they would
	// share.
	Deferred []int32 `json:"deferred,omitempty"`
}

// carried is a release as the leader StatefulSet carries it.
type carried struct {
	// Revision is the key of the revision that the groups are released to. Another controller of LeaderWorkerSets leaves
	// the annotation as it is: after a change of controllers, it may be about an earlier revision than the StatefulSet.
	// It is empty in annotations of version 0.1.0.
	Revision string `json:"revision,omitempty"`

	Release
}

// Of returns the release that a leader StatefulSet carries. With the strategy OnDelete, the partition is in the
// annotation alone. If that can't be read, or is about another revision, no group is released.
func Of(leaders *appsv1.StatefulSet) Release {
	strategy := leaders.Spec.UpdateStrategy
	var read carried
	err := json.Unmarshal([]byte(leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]), &read)
	release := read.Release
	if err != nil || (read.Revision != "" && read.Revision != leaders.Labels[leaderworkersetv1.RevisionLabelKey]) {
		release = Release{Partition: ptr.Deref(leaders.Spec.Replicas, 1)}
	}
	if strategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		release.Partition = 0
		if strategy.RollingUpdate != nil {
			release.Partition = ptr.Deref(strategy.RollingUpdate.Partition, 0)
		}
	}
	release.Also, release.Deferred = highestFirst(release.Also), highestFirst(release.Deferred)
	return release
}

// highestFirst sorts indices, and drops those that are named twice: somebody else may have written the annotation.
func highestFirst(indices []int32) []int32 {
	slices.SortFunc(indices, func(a, b int32) int { return cmp.Compare(b, a) })
	return slices.Compact(indices)
}

// Annotation returns the release to the revision of a key, as the leader StatefulSet carries it.
func (r Release) Annotation(key string) string {
	text, err := json.Marshal(carried{Revision: key, Release: r})
	if err != nil {
		return "" // Numbers and a key always can be written.
	}
	return string(text)
}

// Includes reports whether a group of an earlier revision is created at the current one next.
func (r Release) Includes(index int32) bool {
	return index >= r.Partition || slices.Contains(r.Also, index)
}

// Equal reports whether both releases name the same groups in the same way.
func (r Release) Equal(other Release) bool {
	return r.Partition == other.Partition && slices.Equal(r.Also, other.Also) &&
		slices.Equal(r.Deferred, other.Deferred)
}

// Rejection returns why a leader pod isn't to be created now: it is of the wrong revision, or its group is deferred. It
// is empty if neither is so. leaders is the StatefulSet as it is now, of which its controller may have had an earlier
// view; nil if it was deleted.
func Rejection(leaders *appsv1.StatefulSet, leader *corev1.Pod) string {
	if leaders == nil {
		return ""
	}
	release, annotated := Of(leaders), leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] != ""
	_, index, ok := identity.Parse(leader.Name)
	if !ok || !metav1.IsControlledBy(leader, leaders) {
		return ""
	}
	current := leaders.Spec.Template.Labels[leaderworkersetv1.RevisionLabelKey]
	isCurrent := leader.Labels[leaderworkersetv1.RevisionLabelKey] == current
	below := leaders.Status.CurrentRevision // At which the StatefulSet controller creates pods below a partition.
	switch {
	case slices.Contains(release.Deferred, index):
		return fmt.Sprintf("%s %d waits until another group has its room", rejection, index)
	case release.Includes(index) && !isCurrent:
		return fmt.Sprintf("%s %d is created at revision %q next", rejection, index, current)
	case annotated && !release.Includes(index) && isCurrent && below != "" &&
		leader.Labels[appsv1.StatefulSetRevisionLabel] != below:
		return fmt.Sprintf("%s %d isn't updated yet", rejection, index)
	default:
		return ""
	}
}

// rejection is the beginning of each [Rejection].
const rejection = "by the rolling update of this LeaderWorkerSet, group"

// IsRejection reports whether the message of an event contains a [Rejection]. The StatefulSet controller tries again,
// and has observed the release by then: nobody has to know.
func IsRejection(message string) bool { return strings.Contains(message, rejection) }
