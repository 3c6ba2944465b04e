// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// Groups writes a line for each group.
func Groups(out io.Writer, set *view.Set, groups []view.Group, style Style) error {
	return table(out, style, groupHeader(style), groupRows(set, groups, style))
}

func groupHeader(style Style) []string {
	header := []string{"GROUP", "READY", "REVISION", style.header("STATE"), "FOR", "RESTARTS", "NODES"}
	if style.Wide {
		header = append(header, "LEADER IP", "KEY")
	}
	return append(header, "WHY")
}

func groupRows(set *view.Set, groups []view.Group, style Style) [][]string {
	rows := make([][]string, 0, len(groups))
	for i := range groups {
		rows = append(rows, groupRow(set, &groups[i], style))
	}
	return rows
}

func groupRow(set *view.Set, group *view.Group, style Style) []string {
	index := fmt.Sprint(group.Index)
	if group.IsSurge {
		index += " surge"
	}
	row := []string{
		index,
		fmt.Sprintf("%d/%d", group.ReadyPods(), len(group.Pods)),
		orNone(set.Number(group.Revision)),
		style.group(group),
		age(group.Since, set.Now),
		fmt.Sprint(group.Restarts),
		orNone(Nodes(nodesOf(group))),
	}
	if !set.Reads("pods") {
		row[1], row[6] = "?", "?"
	}
	if style.Wide {
		ip := ""
		if group.Leader != nil {
			ip = group.Leader.Status.PodIP
		}
		row = append(row, orNone(ip), orNone(group.Revision))
	}
	return append(row, oneLine(group.Message))
}

// group returns the state of a group in its color.
func (s Style) group(group *view.Group) string {
	switch {
	case group.Reason == "" && group.IsReady:
		return s.paint(green, "Ready")
	case group.Reason == "":
		return s.paint(yellow, "Unknown")
	case slices.Contains(passing, group.Reason):
		return s.paint(yellow, string(group.Reason))
	default:
		return s.paint(red, string(group.Reason))
	}
}

// passing are the reasons that end by themselves mostly.
var passing = []leaderworkersetv1.UnreadyReason{
	leaderworkersetv1.UnreadyTerminating, leaderworkersetv1.UnreadyLeader, leaderworkersetv1.UnreadyWorkers,
	leaderworkersetv1.UnreadyPreviousGroup, leaderworkersetv1.UnreadyDisrupted, leaderworkersetv1.UnreadyGated,
}

// nodesOf returns the node of each pod, by worker index; empty for a pod that has none.
func nodesOf(group *view.Group) []string {
	nodes := make([]string, 0, len(group.Pods))
	for _, pod := range group.Pods {
		nodes = append(nodes, nodeOf(pod))
	}
	return nodes
}

func nodeOf(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	return pod.Spec.NodeName
}
