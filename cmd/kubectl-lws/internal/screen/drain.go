// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Drain writes which groups a drain takes down, and which budgets hold it.
func Drain(out io.Writer, drained []view.Drained, style Style) error {
	rows := make([][]string, 0, len(drained))
	for i := range drained {
		d := &drained[i]
		rows = append(rows, []string{
			d.Set.LWS.Namespace, d.Set.LWS.Name, fmt.Sprint(d.Group.Index),
			fmt.Sprintf("%d/%d", d.Group.ReadyPods(), len(d.Group.Pods)), podsOn(d.Pods), budgets(d),
		})
	}
	header := []string{"NAMESPACE", "NAME", "GROUP", "READY", "PODS ON THESE NODES", "BUDGETS"}
	if err := table(out, style, header, rows); err != nil {
		return err
	}
	var text strings.Builder
	for first := 0; first < len(drained); {
		last := first
		for last+1 < len(drained) && drained[last+1].Set == drained[first].Set {
			last++
		}
		text.WriteString("\n" + drainOf(drained[first:last+1]) + "\n")
		first = last + 1
	}
	_, err := io.WriteString(out, text.String())
	return err
}

const maxPodsNamed = 3

func podsOn(pods []*corev1.Pod) string {
	var named []string
	for _, pod := range pods[:min(len(pods), maxPodsNamed)] {
		named = append(named, pod.Name+" on "+pod.Spec.NodeName)
	}
	if more := len(pods) - maxPodsNamed; more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(named, ", ")
}

func budgets(d *view.Drained) string {
	if !d.Set.Reads("poddisruptionbudgets.policy") {
		return "?"
	}
	var named []string
	for _, budget := range d.Budgets {
		named = append(named, fmt.Sprintf("%s: %d allowed now", budget.Name, budget.Status.DisruptionsAllowed))
	}
	return orNone(strings.Join(named, ", "))
}

// drainOf says what a drain does to the groups of one set.
func drainOf(drained []view.Drained) string {
	set := drained[0].Set
	indices, unready := make([]int32, 0, len(drained)), view.Indices(set.Unready())
	protected, allowed := true, int32(1)
	for i := range drained {
		indices = append(indices, drained[i].Group.Index)
		protected = protected && len(drained[i].Budgets) > 0
		for _, budget := range drained[i].Budgets {
			allowed = min(allowed, budget.Status.DisruptionsAllowed)
		}
	}
	text := fmt.Sprintf("%s/%s: the drain takes %s down, each as a whole.", set.LWS.Namespace, set.LWS.Name,
		status.Groups(indices))
	if !drained[0].TakesGroup() {
		text = fmt.Sprintf("%s/%s: the drain takes pods of %s. With the restart policy None, the others stay.",
			set.LWS.Namespace, set.LWS.Name, status.Groups(indices))
	}
	switch {
	case !set.Reads("poddisruptionbudgets.policy"):
		return text + " You may not read the budgets."
	case !protected:
		return text + " No budget holds for all of them: they may go at the same time."
	case allowed < 1 && len(unready) > 0:
		return text + " The budget allows no eviction now: the drain waits for " + status.Groups(unready) + "."
	case allowed < 1:
		return text + " The budget allows no eviction now: the drain waits."
	default:
		return text + " The budget lets them go one after the other."
	}
}
