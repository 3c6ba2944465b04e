// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// Order says at which revision leader pods are created: from Partition on at the current one, below it at the one before.
//
// A partition alone can't say that of every group. While group 3 of 4 has to stay, because group 0 is broken and only one may be down,
// the partition is 4, and yet group 0 is to come back at the current revision. A StatefulSet with a partition would create it at the
// one before, and one with the strategy OnDelete would create each group at the current one. So both take turns: the StatefulSet is
// OnDelete while the pod that it would create next is that of a group ahead. Pods that it creates by the other strategy, because it
// was late to notice, are refused at admission, see [OutOfOrder].
type Order struct {
	// Partition is the index from which on groups are of the current revision.
	Partition int32 `json:"partition"`

	// Ahead are the indices of groups below Partition that are of the current revision all the same, highest first.
	Ahead []int32 `json:"groups,omitempty"`
}

// OrderOf is the order of a leader StatefulSet. By the strategy OnDelete, its partition is in the annotation alone; without one that can
// be read, no group was let go.
func OrderOf(leaders *appsv1.StatefulSet) Order {
	strategy := leaders.Spec.UpdateStrategy
	var order Order
	if json.Unmarshal([]byte(leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]), &order) != nil {
		order = Order{Partition: ptr.Deref(leaders.Spec.Replicas, 1)}
	}
	if strategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		order.Partition = 0
		if strategy.RollingUpdate != nil {
			order.Partition = ptr.Deref(strategy.RollingUpdate.Partition, 0)
		}
	}
	return order
}

// Annotation is the order as the leader StatefulSet carries it.
func (o Order) Annotation() string {
	text, err := json.Marshal(o)
	if err != nil {
		return "" // Numbers always can be written.
	}
	return string(text)
}

// Includes says whether an order lets all groups go that another one does.
func (o Order) Includes(other Order) bool {
	return o.Partition <= other.Partition && !slices.ContainsFunc(other.Ahead, func(index int32) bool { return !o.LetsGo(index) })
}

// LetsGo says whether a group of an earlier revision is to come back at the current one.
func (o Order) LetsGo(index int32) bool {
	return index >= o.Partition || slices.Contains(o.Ahead, index)
}

// OutOfOrder says why the leader pod, which its StatefulSet is about to create, isn't of the revision that its group is to be of now;
// empty if it is. leaders is the StatefulSet as it is now, of which its controller may have had an earlier view; nil if it is gone.
func OutOfOrder(leaders *appsv1.StatefulSet, leader *corev1.Pod) string {
	if leaders == nil {
		return ""
	}
	order, ordered := OrderOf(leaders), leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] != ""
	_, index, ok := identity.Parse(leader.Name)
	if !ok || !ordered || index >= order.Partition || !metav1.IsControlledBy(leader, leaders) {
		return ""
	}
	current := leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	isCurrent := leader.Labels[leaderworkersetv1.RevisionLabelKey] == current
	below := leaders.Status.CurrentRevision // What the StatefulSet controller creates below a partition.
	switch {
	case order.LetsGo(index) && !isCurrent:
		return fmt.Sprintf("the rolling update creates group %d at revision %q next", index, current)
	case !order.LetsGo(index) && isCurrent && below != "" && leader.Labels[appsv1.StatefulSetRevisionLabel] != below:
		return fmt.Sprintf("the rolling update hasn't come to group %d yet", index)
	default:
		return ""
	}
}
