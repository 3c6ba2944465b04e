// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tolerance is how long pods stay on a lost node, by default.
const tolerance = 300 * time.Second

// nodeController makes the pods of lost nodes unready, and after a while marks them for deletion. They exist until
// their node is back or deleted, since they may still run.
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

// need returns the next action for a pod; nil if there is none.
func (n *nodeController) need(pod *corev1.Pod) action {
	if pod.Spec.NodeName == "" {
		return nil
	}
	node := n.world.node(pod.Spec.NodeName)
	switch {
	case node == nil:
		return func() {
			n.world.record("pod garbage collector", "removes pod", pod.Name)
			n.world.must(n.world.API.Kill(at(pod, pod.Name)))
		}
	case !isLost(node) || pod.DeletionTimestamp != nil:
		return nil
	case podIsReady(pod):
		return func() {
			n.world.record("node controller", "has not ready pod", pod.Name)
			update(n.world.API, pod, func(pod *corev1.Pod) { n.world.setReady(pod, corev1.ConditionFalse) })
		}
	case !n.world.clock.Now().Before(evictionAt(node)):
		return func() {
			n.world.record("node controller", "marks for deletion pod", pod.Name)
			n.world.must(n.world.API.Delete(kindPod, at(pod, pod.Name), &pod.UID, metav1.DeletePropagationBackground))
		}
	default:
		return nil
	}
}

// next returns when pods are next marked for deletion.
func (n *nodeController) next() time.Time {
	var next time.Time
	for _, pod := range listOf[*corev1.Pod](n.world.API, kindPod) {
		if node := n.world.node(pod.Spec.NodeName); node != nil && isLost(node) && pod.DeletionTimestamp == nil {
			next = earlier(next, evictionAt(node))
		}
	}
	return next
}

// isLost reports whether the node is unreachable.
func isLost(node *corev1.Node) bool { return len(node.Spec.Taints) > 0 }

// evictionAt returns when the pods of a lost node are marked for deletion.
func evictionAt(node *corev1.Node) time.Time { return node.Spec.Taints[0].TimeAdded.Add(tolerance) }

// node returns the node of that name; nil if there is none.
func (w *World) node(name string) *corev1.Node {
	return getOf[*corev1.Node](w.API, kindNode, types.NamespacedName{Name: name})
}

// nodeIsLost reports whether the node is unreachable or deleted.
func (w *World) nodeIsLost(name string) bool {
	node := w.node(name)
	return name != "" && (node == nil || isLost(node))
}

// IsNodeLost reports whether a node is unreachable.
func (w *World) IsNodeLost(name string) bool {
	node := w.node(name)
	return node != nil && isLost(node)
}

// AddNode adds a node with labels, as a user. Every world begins with node-1 and node-2.
func (w *World) AddNode(name string, labels map[string]string) {
	w.t.Helper()
	w.User("adds "+name, func() error {
		return w.API.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	})
}

// LoseNode makes a node unreachable.
func (w *World) LoseNode(name string) {
	w.record(name, "is lost", "")
	now := metav1.NewTime(w.clock.Now())
	update(w.API, w.node(name), func(node *corev1.Node) {
		node.Spec.Taints = []corev1.Taint{
			{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &now},
		}
	})
}

// RecoverNode makes a lost node reachable again.
func (w *World) RecoverNode(name string) {
	w.record(name, "is back", "")
	update(w.API, w.node(name), func(node *corev1.Node) { node.Spec.Taints = nil })
}

// RemoveNode deletes a node as a user. Its pods are deleted with it.
func (w *World) RemoveNode(name string) {
	w.t.Helper()
	w.User("deletes "+name, func() error {
		return w.API.Delete(kindNode, types.NamespacedName{Name: name}, nil, metav1.DeletePropagationBackground)
	})
}

// setReady changes the Ready condition of a pod that is about to be stored.
func (w *World) setReady(pod *corev1.Pod, status corev1.ConditionStatus) {
	isReady := func(condition corev1.PodCondition) bool { return condition.Type == corev1.PodReady }
	pod.Status.Conditions = append(slices.DeleteFunc(slices.Clone(pod.Status.Conditions), isReady), corev1.PodCondition{
		Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(w.clock.Now()),
	})
}
