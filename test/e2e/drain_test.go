// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/disruption"
)

// poolLabel is the label, and the taint, of nodes that one test has for itself.
const poolLabel = "example.com/pool"

// TestLocalDrain drains three of six nodes at once, with the PodDisruptionBudget of docs/operate/disruptions.md. The
// groups come down one at a time. Each one is whole again before the next one comes down.
func TestLocalDrain(t *testing.T) {
	t.Parallel()
	const replicas, size int32 = 5, 3
	nodes := createPool(t, "drain", 6)
	namespace := newNamespace(t)
	lws := newSet(namespace, "set", replicas, size, readyAfter("500ms"), inPool("drain"))
	create(t, lws)
	untilAvailable(t, lws)
	create(t, disruption.Budget(lws))
	untilEvictable(t, namespace, replicas*size)
	drained := nodes[:3]
	hit := groupsOn(t, namespace, drained)
	if len(hit) < 2 {
		t.Fatalf("the nodes %v have pods of the groups %v; a drain of one group shows nothing", drained, hit)
	}

	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	drain(t, drained...)
	pods.until(t, exactlyReady(podNames("set", replicas, size), image))
	untilAvailable(t, lws)
	if left := groupsOn(t, namespace, drained); len(left) > 0 {
		t.Errorf("the groups %v have pods on drained nodes", left)
	}
	state := pods.atStart()
	for _, change := range pods.soFar(t) {
		change.apply(state)
		if broken := disruption.BrokenGroups(lws, state); len(broken) > 1 {
			t.Fatalf("the groups %v are broken at the same time, after %s of pod %s",
				broken, change.kind, change.object.Name)
		}
	}
	incarnations := pods.incarnations(t)
	for group := range replicas {
		want := 1
		if slices.Contains(hit, fmt.Sprint(group)) {
			want = 2
		}
		leader := fmt.Sprintf("set-%d", group)
		check(t, "incarnations of "+leader, want, incarnations[leader])
	}
}

// createPool creates nodes that only pods of one test run on, and returns their names. It deletes them in the end.
func createPool(t *testing.T, pool string, count int) []string {
	t.Helper()
	template := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-0"}}
	refresh(t, template)
	var names []string
	for i := range count {
		name := fmt.Sprintf("%s-%d", pool, i)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{poolLabel: pool, corev1.LabelHostname: name},
				Annotations: template.Annotations,
			},
			Spec: corev1.NodeSpec{
				Taints: []corev1.Taint{{Key: poolLabel, Value: pool, Effect: corev1.TaintEffectNoSchedule}},
			},
			Status: corev1.NodeStatus{
				Capacity: template.Status.Capacity, Allocatable: template.Status.Allocatable, NodeInfo: template.Status.NodeInfo,
			},
		}
		create(t, node)
		t.Cleanup(func() {
			if err := suite.client.Delete(context.WithoutCancel(t.Context()), node); err != nil {
				t.Error(err)
			}
		})
		names = append(names, name)
	}
	return names
}

// inPool runs all pods of the set on the nodes of a pool. No node has two pods of a group.
func inPool(pool string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		spec := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
		spec.NodeSelector = map[string]string{poolLabel: pool}
		spec.Tolerations = []corev1.Toleration{{Key: poolLabel, Operator: corev1.TolerationOpExists}}
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{disruption.SpreadGroups(lws)}
	}
}

// untilEvictable waits until the budget counts all pods, and allows the eviction of one.
func untilEvictable(t *testing.T, namespace string, pods int32) {
	t.Helper()
	var budgets policyv1.PodDisruptionBudgetList
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.List(ctx, &budgets, client.InNamespace(namespace)); err != nil {
			return err
		}
		status := budgets.Items[0].Status
		return unless(status.ExpectedPods == pods && status.DisruptionsAllowed == 1, "budget: %+v", status)
	})
}

// drain drains nodes with kubectl, all at once.
func drain(t *testing.T, nodes ...string) {
	t.Helper()
	args := append([]string{"--kubeconfig", suite.cluster.Kubeconfig(), "drain", "--timeout", deadline.String()}, nodes...)
	kubectl := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin(suite.root), "kubectl"), args...)
	if out, err := kubectl.CombinedOutput(); err != nil {
		t.Fatalf("kubectl drain: %v\n%s", err, out)
	}
}

// groupsOn returns the indices of the groups that have pods on the nodes.
func groupsOn(t *testing.T, namespace string, nodes []string) []string {
	t.Helper()
	var groups []string
	for _, pod := range listed(t, podsIn(namespace)) {
		if slices.Contains(nodes, pod.Spec.NodeName) {
			groups = append(groups, pod.Labels[prefix+"group-index"])
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(groups)))
}
