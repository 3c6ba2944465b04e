// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// node is a node of a tree of lines.
type node struct {
	text     string
	children []node
}

// writeTree writes nodes with their children below them.
func writeTree(text *strings.Builder, nodes []node) {
	for _, n := range nodes {
		text.WriteString(n.text + "\n")
		writeBranches(text, n.children, "")
	}
}

func writeBranches(text *strings.Builder, nodes []node, indent string) {
	for i, n := range nodes {
		branch, below := "├─ ", "│  "
		if i == len(nodes)-1 {
			branch, below = "└─ ", "   "
		}
		text.WriteString(indent + branch + n.text + "\n")
		writeBranches(text, n.children, indent+below)
	}
}

// object is an object that somebody owns, and its line.
type object struct {
	uid  types.UID
	line string
}

// Tree writes the objects of a set, each below its owner.
func Tree(out io.Writer, set *view.Set, style Style) error {
	owned := map[types.UID][]object{}
	add := func(found metav1.Object, line string) {
		if owner := metav1.GetControllerOf(found); owner != nil {
			owned[owner.UID] = append(owned[owner.UID], object{uid: found.GetUID(), line: line})
		}
	}
	for _, service := range set.Services {
		add(service, "Service/"+service.Name)
	}
	for _, stored := range set.Revisions {
		add(stored, fmt.Sprintf("ControllerRevision/%s  revision %d", stored.Name, stored.Revision))
	}
	for _, sts := range set.StatefulSets {
		add(sts, statefulSetLine(sts, style))
	}
	for _, pod := range set.Pods {
		add(pod, podLine(pod, style))
	}
	root := node{text: "LeaderWorkerSet/" + set.LWS.Name + "  " + style.state(set.State())}
	root.children = below(set.LWS.UID, owned)
	var text strings.Builder
	writeTree(&text, []node{root})
	_, err := io.WriteString(out, text.String())
	return err
}

// below returns the nodes of what an object owns, with what that owns below it.
func below(owner types.UID, owned map[types.UID][]object) []node {
	objects := owned[owner]
	delete(owned, owner) // An object that owns itself is written once.
	nodes := make([]node, 0, len(objects))
	for _, found := range objects {
		nodes = append(nodes, node{text: found.line, children: below(found.uid, owned)})
	}
	return nodes
}

func statefulSetLine(sts *appsv1.StatefulSet, style Style) string {
	wanted := ptr.Deref(sts.Spec.Replicas, 1)
	color := yellow
	if sts.Status.ReadyReplicas == wanted {
		color = green
	}
	ready := style.paint(color, fmt.Sprintf("%d/%d ready", sts.Status.ReadyReplicas, wanted))
	return fmt.Sprintf("StatefulSet/%s  %s", sts.Name, ready)
}

func podLine(pod *corev1.Pod, style Style) string {
	state := style.paint(yellow, "not ready")
	switch {
	case pod.DeletionTimestamp != nil:
		state = style.paint(yellow, "terminating")
	case snapshot.PodReady(pod):
		state = style.paint(green, "ready")
	}
	if pod.Spec.NodeName != "" {
		state += " on " + pod.Spec.NodeName
	}
	return fmt.Sprintf("Pod/%s  %s", pod.Name, state)
}
