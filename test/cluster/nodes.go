// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// RackLabel is the node label whose value is the node's rack, like "rack-0".
const RackLabel = "rack"

// nodeCapacity returns the default capacity of a simulated node. Options.NodeCapacity overrides it.
func nodeCapacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1000"),
		corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourcePods:   resource.MustParse("1000"),
	}
}

// buildNodes returns the simulated nodes node-0, node-1, … of a cluster. Racks differ in size by one node at most. A
// rack is in one zone only, and zones differ by one rack at most. Without racks, nodes are spread over the zones
// directly.
func buildNodes(o Options) []*corev1.Node {
	capacity := nodeCapacity()
	maps.Copy(capacity, o.NodeCapacity)
	nodes := make([]*corev1.Node, o.Nodes)
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		nodes[i] = &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: topology(i, o.Racks, o.Zones)},
			Status: corev1.NodeStatus{
				Capacity:    capacity,
				Allocatable: capacity,
				NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "simulated", OperatingSystem: "linux", Architecture: "amd64"},
			},
		}
		nodes[i].Labels[corev1.LabelHostname] = name
		nodes[i].Labels[corev1.LabelOSStable] = "linux"
		nodes[i].Labels[corev1.LabelArchStable] = "amd64"
	}
	return nodes
}

// topology returns the rack and zone labels of the i-th node.
func topology(i, racks, zones int) map[string]string {
	labels := map[string]string{}
	if racks > 0 {
		labels[RackLabel] = fmt.Sprintf("rack-%d", i%racks)
	}
	if zones > 0 {
		parts := max(racks, zones)
		labels[corev1.LabelTopologyZone] = fmt.Sprintf("zone-%d", i%parts*zones/parts)
	}
	return labels
}

// createNodes creates the simulated nodes of a cluster.
func createNodes(ctx context.Context, client kubernetes.Interface, o Options) error {
	for _, node := range buildNodes(o) {
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create %s: %w", node.Name, err)
		}
	}
	return nil
}

// schedulable returns an error unless count nodes exist and pods can be scheduled to each of them.
func schedulable(nodes []corev1.Node, count int) error {
	if len(nodes) < count {
		return fmt.Errorf("%d of %d nodes exist", len(nodes), count)
	}
	for i := range nodes {
		if !nodeReady(&nodes[i]) {
			return fmt.Errorf("%s isn't Ready", nodes[i].Name)
		}
		if len(nodes[i].Spec.Taints) > 0 {
			return fmt.Errorf("%s has the taint %s", nodes[i].Name, nodes[i].Spec.Taints[0].ToString())
		}
	}
	return nil
}

// nodeReady reports whether the node's Ready condition is True.
func nodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
