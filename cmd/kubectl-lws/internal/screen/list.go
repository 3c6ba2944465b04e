// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"time"

	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// List writes a line for each set, with its worst group.
func List(out io.Writer, sets []leaderworkersetv1.LeaderWorkerSet, style Style, now time.Time) error {
	header := []string{"NAME", "READY", "UP-TO-DATE", "SIZE", style.header("STATE"), "AGE", "WORST GROUP"}
	if style.Wide {
		header = append(header[:6], "REVISION", "IMAGE", "WORST GROUP")
	}
	if style.Namespaces {
		header = append([]string{"NAMESPACE"}, header...)
	}
	rows := make([][]string, 0, len(sets))
	for i := range sets {
		rows = append(rows, listRow(&sets[i], style, now))
	}
	return table(out, style, header, rows)
}

func listRow(lws *leaderworkersetv1.LeaderWorkerSet, style Style, now time.Time) []string {
	template := lws.Spec.LeaderWorkerTemplate
	replicas := ptr.Deref(lws.Spec.Replicas, 1)
	worst := "<none>"
	if group := view.Worst(lws); group != nil {
		worst = fmt.Sprintf("%d: %s, %s", group.Index, group.Reason, oneLine(group.Message))
	}
	row := []string{
		lws.Name,
		fmt.Sprintf("%d/%d", lws.Status.ReadyReplicas, replicas),
		fmt.Sprint(lws.Status.UpdatedReplicas),
		fmt.Sprint(ptr.Deref(template.Size, 1)),
		style.state(view.StateOf(lws)),
		age(lws.CreationTimestamp.Time, now),
	}
	if style.Wide {
		image := ""
		if containers := template.WorkerTemplate.Spec.Containers; len(containers) > 0 {
			image = containers[0].Image
		}
		row = append(row, orNone(lws.Status.UpdateRevision), orNone(image))
	}
	if row = append(row, worst); style.Namespaces {
		row = append([]string{lws.Namespace}, row...)
	}
	return row
}

// state returns the state of a set in its color.
func (s Style) state(state view.State) string {
	switch state {
	case view.StateAvailable, view.StateHeld:
		return s.paint(green, string(state))
	case view.StateDegraded, view.StateRefused:
		return s.paint(red, string(state))
	case view.StateUnobserved, view.StateDeleting, view.StateUpdating, view.StateUnready:
	}
	return s.paint(yellow, string(state))
}

// header returns the header of a column that has colors: with the same number of invisible characters.
func (s Style) header(text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[39m" + text + reset
}
