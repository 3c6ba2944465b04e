// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// LimitStatefulSets sets how many StatefulSets the API server admits, terminating ones included. 0 is any number.
func (w *World) LimitStatefulSets(count int) {
	w.User(fmt.Sprintf("sets a quota of %d StatefulSets", count), func() error {
		w.API.statefulSets = count
		return nil
	})
}

// refusalOfStatefulSet returns why the API server doesn't admit a StatefulSet; nil if it does.
func (a *API) refusalOfStatefulSet(name string) error {
	used := len(a.objects[kindStatefulSet])
	if a.statefulSets == 0 || used < a.statefulSets {
		return nil
	}
	const resourceName = "count/statefulsets.apps"
	const format = "exceeded quota: statefulsets, requested: %[1]s=1, used: %[1]s=%[2]d, limited: %[1]s=%[3]d"
	return apierrors.NewForbidden(resource(kindStatefulSet), name,
		fmt.Errorf(format, resourceName, used, a.statefulSets))
}

// queueGate is the scheduling gate of the queue.
const queueGate = "example.com/queue"

// queueController removes the scheduling gate of pods, one by one, while fewer pods than its limit are admitted. It
// knows nothing of groups. In a random world, it takes pods in any order.
type queueController struct {
	world *World
	limit int // 0 while there is no queue
}

// LimitQueue gates all new pods until a queue admits them, which admits so many at a time, terminating ones included.
func (w *World) LimitQueue(pods int) {
	w.User(fmt.Sprintf("has a queue admit %d pods", pods), func() error {
		w.queue.limit, w.API.gated = pods, true
		return nil
	})
}

func isQueueGate(gate corev1.PodSchedulingGate) bool { return gate.Name == queueGate }

func isQueued(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, isQueueGate)
}

func (q *queueController) actions() []action {
	if q.limit == 0 {
		return nil
	}
	var actions []action
	admitted := 0
	for _, pod := range listOf[*corev1.Pod](q.world.API, kindPod) {
		switch {
		case !isQueued(pod):
			admitted++
		case pod.DeletionTimestamp == nil:
			actions = append(actions, func() { q.admit(pod) })
		}
	}
	if admitted >= q.limit {
		return nil
	}
	return actions
}

func (q *queueController) admit(pod *corev1.Pod) {
	q.world.record("queue", "admits pod", pod.Name)
	update(q.world.API, pod, func(pod *corev1.Pod) {
		pod.Spec.SchedulingGates = slices.DeleteFunc(slices.Clone(pod.Spec.SchedulingGates), isQueueGate)
	})
}

// PinPod lets no node take a pod of that name from now on, as if its volume were on a node that is cordoned.
func (w *World) PinPod(key types.NamespacedName) {
	w.User("cordons the node with the volume of pod "+key.Name, func() error { w.pinned = key; return nil })
}

// UnpinPod lets nodes take the pod again.
func (w *World) UnpinPod() {
	w.User("uncordons the node with the volume of pod "+w.pinned.Name, func() error {
		w.pinned = types.NamespacedName{}
		return nil
	})
}

// The time that an autoscaler takes to add a node for pods that no node can take, and to remove an empty node.
const (
	minScaling = 30 * time.Second
	maxScaling = 120 * time.Second
)

// autoscaler adds a node some time after no node can take a pod. It removes nodes that have been empty for some time.
// It never removes the two nodes that every world begins with.
type autoscaler struct {
	world *World
	most  int // nodes; 0 while there is no autoscaler
	added int

	addAt    time.Time            // when it adds a node; the zero time for never
	removeAt map[string]time.Time // when it removes nodes that are empty
}

// Autoscale limits each node to a number of pods, and adds nodes for pods that no node can take, up to a number of
// nodes.
func (w *World) Autoscale(podsOnNode, nodes int) {
	w.User(fmt.Sprintf("autoscales up to %d nodes of %d pods", nodes, podsOnNode), func() error {
		w.room, w.scaler.most = podsOnNode, nodes
		return nil
	})
}

// scalingTime returns how long the autoscaler takes for its next node.
func (a *autoscaler) scalingTime() time.Duration {
	return minScaling + a.world.duration(span{random: maxScaling - minScaling})
}

// watch decides when nodes are added and removed.
func (a *autoscaler) watch(change Change) {
	if a.most == 0 || (change.Kind != kindPod && change.Kind != kindNode) {
		return
	}
	nodes, lacksNode, used := listOf[*corev1.Node](a.world.API, kindNode), false, map[string]bool{}
	for _, pod := range listOf[*corev1.Pod](a.world.API, kindPod) {
		lacksNode = lacksNode || (isSchedulable(pod) && isUnschedulable(pod))
		used[pod.Spec.NodeName] = true
	}
	switch wanted := lacksNode && len(nodes) < a.most; {
	case !wanted:
		a.addAt = time.Time{}
	case a.addAt.IsZero():
		a.addAt = a.world.clock.Now().Add(a.scalingTime())
	}
	for _, node := range nodes {
		switch isEmpty := !used[node.Name] && node.Labels[autoscaled] != ""; {
		case !isEmpty || lacksNode:
			delete(a.removeAt, node.Name)
		case a.removeAt[node.Name].IsZero():
			a.removeAt[node.Name] = a.world.clock.Now().Add(a.scalingTime())
		}
	}
}

// autoscaled is the label of nodes that the autoscaler has added.
const autoscaled = "example.com/autoscaled"

func (a *autoscaler) actions() []action {
	now := a.world.clock.Now()
	if !a.addAt.IsZero() && !a.addAt.After(now) {
		return []action{a.add}
	}
	for _, node := range listOf[*corev1.Node](a.world.API, kindNode) {
		if due := a.removeAt[node.Name]; !due.IsZero() && !due.After(now) {
			return []action{func() { a.remove(node.Name) }}
		}
	}
	return nil
}

func (a *autoscaler) next() time.Time { return earlier(a.addAt, earliest(a.removeAt)) }

func (a *autoscaler) add() {
	a.added++
	a.addAt = time.Time{}
	name := fmt.Sprintf("added-%d", a.added)
	a.world.record("autoscaler", "adds", name)
	a.world.must(a.world.API.Create(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{autoscaled: "true"}},
	}))
}

func (a *autoscaler) remove(name string) {
	delete(a.removeAt, name)
	a.world.record("autoscaler", "removes", name)
	a.world.must(a.world.API.Delete(
		kindNode, types.NamespacedName{Name: name}, nil, metav1.DeletePropagationBackground))
}

// CheckAllButPinned fails the test unless all groups are ready and of the latest revision, but the one of the pinned
// pod.
func (w *World) CheckAllButPinned(key types.NamespacedName) {
	w.t.Helper()
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, key)
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, key)
	done := int32(0)
	for _, group := range w.groupsOf(leaders) {
		isPinned := group.leader.Name == w.pinned.Name || strings.HasPrefix(w.pinned.Name, group.leader.Name+"-")
		if !isPinned && group.ready && group.index < *lws.Spec.Replicas && revisionOf(group.leader) == revisionOf(leaders) {
			done++
		}
	}
	if wanted := *lws.Spec.Replicas - 1; done < wanted {
		w.fail("%d groups besides the pinned one are updated and ready, not %d", done, wanted)
	}
}
