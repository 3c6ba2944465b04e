// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestNodesAreSpreadEvenly(t *testing.T) {
	for _, o := range []Options{
		{Nodes: 0},
		{Nodes: 3},
		{Nodes: 8, Racks: 4, Zones: 2},
		{Nodes: 7, Racks: 3, Zones: 2},
		{Nodes: 5, Racks: 5, Zones: 5},
		{Nodes: 100, Racks: 9, Zones: 4},
		{Nodes: 5, Zones: 2},
	} {
		nodes := buildNodes(o)
		if len(nodes) != o.Nodes {
			t.Errorf("%+v: %d nodes", o, len(nodes))
		}
		racks, zones, zoneOf := map[string]int{}, map[string]int{}, map[string]string{}
		for _, node := range nodes {
			if node.Labels[corev1.LabelHostname] != node.Name {
				t.Errorf("%+v: %s has the host name %s", o, node.Name, node.Labels[corev1.LabelHostname])
			}
			rack, hasRack := node.Labels[RackLabel]
			zone, hasZone := node.Labels[corev1.LabelTopologyZone]
			if hasRack != (o.Racks > 0) || hasZone != (o.Zones > 0) {
				t.Errorf("%+v: %s has the labels %v", o, node.Name, node.Labels)
			}
			racks[rack]++
			if other, ok := zoneOf[rack]; ok && hasRack && other != zone {
				t.Errorf("%+v: %s is in %s and %s", o, rack, zone, other)
			} else if !ok || !hasRack {
				zones[zone]++
			}
			zoneOf[rack] = zone
		}
		checkEven(t, o, o.Racks, racks)
		checkEven(t, o, o.Zones, zones)
	}
}

// checkEven checks that there are as many domains (racks or zones) as expected, and that they differ by one member at
// most.
func checkEven(t *testing.T, o Options, expected int, domains map[string]int) {
	t.Helper()
	if expected == 0 {
		return
	}
	var least, most int
	for _, members := range domains {
		if least == 0 || members < least {
			least = members
		}
		most = max(most, members)
	}
	if len(domains) != expected || most-least > 1 {
		t.Errorf("%+v: spread as %v over %d domains", o, domains, expected)
	}
}

func TestNodeCapacity(t *testing.T) {
	nodes := buildNodes(Options{Nodes: 1, NodeCapacity: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"),
		"google.com/tpu":   resource.MustParse("8"),
	}})
	for name, want := range map[corev1.ResourceName]string{
		corev1.ResourceCPU: "4", "google.com/tpu": "8", corev1.ResourcePods: "1k",
	} {
		if quantity := nodes[0].Status.Allocatable[name]; quantity.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s: %s, want %s", name, quantity.String(), want)
		}
	}
}

func TestSchedulable(t *testing.T) {
	isReady := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}
	usable := corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{isReady}}}
	tainted := usable
	tainted.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
	if err := schedulable([]corev1.Node{usable, usable}, 2); err != nil {
		t.Error(err)
	}
	for name, nodes := range map[string][]corev1.Node{
		"one is missing":   {usable},
		"one is tainted":   {usable, tainted},
		"one is not ready": {usable, {}},
	} {
		if schedulable(nodes, 2) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
