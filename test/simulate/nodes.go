// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// tolerance is how long pods stay on a node that is lost, by default.
const tolerance = 300 * time.Second

// nodeController looks after the pods of lost nodes: they aren't ready, and after a while they are marked for deletion. They keep their
// names, as nobody knows whether they have stopped, until their node comes back or is deleted.
type nodeController struct{ world *World }

func (n *nodeController) actions() []action {
	var actions []action
	for _, pod := range listOf[*corev1.Pod](n.world.API, kindPod) {
		if do := n.need(pod); do != nil {
			actions = append(actions, do)
		}
	}
	return actions
}

// need is what a pod needs now; nil for nothing.
func (n *nodeController) need(pod *corev1.Pod) action {
	if pod.Spec.NodeName == "" {
		return nil
	}
	node := n.world.node(pod.Spec.NodeName)
	switch {
	case node == nil:
		return func() {
			n.world.tell("pod garbage collector", "removes pod", pod.Name)
			n.world.must(n.world.API.Kill(at(pod, pod.Name)))
		}
	case !isLost(node) || pod.DeletionTimestamp != nil:
		return nil
	case snapshot.PodReady(pod):
		return func() {
			n.world.tell("node controller", "has not ready pod", pod.Name)
			update(n.world.API, pod, func(pod *corev1.Pod) { n.world.setReady(pod, corev1.ConditionFalse) })
		}
	case !n.world.clock.Now().Before(evictionAt(node)):
		return func() {
			n.world.tell("node controller", "marks for deletion pod", pod.Name)
			n.world.must(n.world.API.Delete(kindPod, at(pod, pod.Name), &pod.UID, metav1.DeletePropagationBackground))
		}
	default:
		return nil
	}
}

// next is when pods are next marked for deletion.
func (n *nodeController) next() time.Time {
	var next time.Time
	for _, pod := range listOf[*corev1.Pod](n.world.API, kindPod) {
		if node := n.world.node(pod.Spec.NodeName); node != nil && isLost(node) && pod.DeletionTimestamp == nil {
			next = earlier(next, evictionAt(node))
		}
	}
	return next
}

// isLost says whether nothing is heard of the node any more.
func isLost(node *corev1.Node) bool { return len(node.Spec.Taints) > 0 }

// evictionAt is when the pods of a lost node are marked for deletion.
func evictionAt(node *corev1.Node) time.Time { return node.Spec.Taints[0].TimeAdded.Add(tolerance) }

// node is the node of that name; nil if there is none.
func (w *World) node(name string) *corev1.Node {
	return getOf[*corev1.Node](w.API, kindNode, types.NamespacedName{Name: name})
}

// nodeIsLost says whether nothing is heard of the node any more, or it doesn't exist.
func (w *World) nodeIsLost(name string) bool {
	node := w.node(name)
	return name != "" && (node == nil || isLost(node))
}

// AddNode has a user add a node with labels to those that every world has, node-1 and node-2.
func (w *World) AddNode(name string, labels map[string]string) {
	w.t.Helper()
	w.User("adds "+name, func() error {
		return w.API.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	})
}

// LoseNode has a node not be heard of any more.
func (w *World) LoseNode(name string) {
	w.tell(name, "is lost", "")
	now := metav1.NewTime(w.clock.Now())
	update(w.API, w.node(name), func(node *corev1.Node) {
		node.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &now}}
	})
}

// FindNode has a lost node come back.
func (w *World) FindNode(name string) {
	w.tell(name, "is back", "")
	update(w.API, w.node(name), func(node *corev1.Node) { node.Spec.Taints = nil })
}

// RemoveNode has a user delete a node, and with it what runs there.
func (w *World) RemoveNode(name string) {
	w.t.Helper()
	w.User("deletes "+name, func() error {
		return w.API.Delete(kindNode, types.NamespacedName{Name: name}, nil, metav1.DeletePropagationBackground)
	})
}

// setReady changes the Ready condition of a pod that is about to be stored.
func (w *World) setReady(pod *corev1.Pod, status corev1.ConditionStatus) {
	pod.Status.Conditions = slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady
	})
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(w.clock.Now()),
	})
}
