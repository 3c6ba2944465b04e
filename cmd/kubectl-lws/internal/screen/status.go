// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"strings"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// Status writes the screen of one set: what it is, how far it is, its groups, and what comes next.
func Status(out io.Writer, set *view.Set, style Style) error {
	lines := []string{
		fmt.Sprintf("%-17s%s/%s    %s", "LeaderWorkerSet", set.LWS.Namespace, set.LWS.Name, shape(set)),
		fmt.Sprintf("%-17s%s: %s", "State", style.state(set.State()), progress(set)),
	}
	if text := revisions(set); text != "" {
		lines = append(lines, fmt.Sprintf("%-17s%s", "Revision", text))
	}
	for _, kind := range []string{leaderworkersetv1.ConditionReplicaFailure, leaderworkersetv1.ConditionDegraded} {
		if set.Holds(kind) {
			lines = append(lines, fmt.Sprintf("%-17s%s", kind, style.paint(red, oneLine(set.Condition(kind).Message))))
		}
	}
	if len(set.Hidden) > 0 {
		lines = append(lines, fmt.Sprintf("%-17syou may not read %s: the status alone says what follows",
			"Rights", strings.Join(set.Hidden, ", ")))
	}
	if _, err := fmt.Fprintln(out, strings.Join(lines, "\n")+"\n"); err != nil {
		return err
	}
	rows := collapse(set.Groups, groupRows(set, set.Groups, style))
	if err := table(out, style, groupHeader(style), rows); err != nil {
		return err
	}
	return next(out, set)
}

// shape returns how many groups of how many pods the set asks for, and the devices of a pod.
func shape(set *view.Set) string {
	template := &set.LWS.Spec.LeaderWorkerTemplate
	text := fmt.Sprintf("%s of %s", plural(int(*set.LWS.Spec.Replicas), "group"), plural(int(*template.Size), "pod"))
	workers := view.Devices(&template.WorkerTemplate)
	leader := workers
	if template.LeaderTemplate != nil {
		leader = view.Devices(template.LeaderTemplate)
	}
	switch {
	case workers == leader && workers != "":
		return text + ", " + workers + " each"
	case workers != leader:
		return fmt.Sprintf("%s, leader %s, worker %s", text, orNone(leader), orNone(workers))
	default:
		return text
	}
}

// progress returns how many groups are ready and how many have to be updated.
func progress(set *view.Set) string {
	asked, ready, _ := set.Count()
	parts := []string{fmt.Sprintf("%d of %s ready", ready, plural(asked, "group"))}
	if !set.Reads("pods") {
		parts[0] = fmt.Sprintf("%d of %s ready", set.LWS.Status.ReadyReplicas, plural(asked, "group"))
	}
	if waiting := len(set.ToUpdate()); waiting > 0 && set.Reads("pods") && set.IsUpdating() {
		parts = append(parts, fmt.Sprintf("%d to update", waiting), fmt.Sprintf("%d may be unavailable", set.MaxUnavailable))
		if set.MaxSurge > 0 {
			parts = append(parts, fmt.Sprintf("%d may be added", set.MaxSurge))
		}
	}
	if held := len(set.Held()); held > 0 {
		parts = append(parts, fmt.Sprintf("%d held by the partition", held))
	}
	return strings.Join(parts, ", ")
}

// revisions returns the current revision, the one that it replaces, and how far that is.
func revisions(set *view.Set) string {
	if set.Key() == "" {
		return ""
	}
	text := set.Number(set.Key())
	if set.Current != nil {
		text += " (" + revision.Key(set.Current) + ")"
	}
	earlier := set.Earlier()
	if earlier == "" {
		return text
	}
	text += ", from " + set.Number(earlier) + " (" + earlier + ")"
	if began := set.RolloutBegan(); !began.IsZero() {
		text += ", for " + age(began, set.Now)
	}
	asked, _, updated := set.Count()
	return fmt.Sprintf("%s: %d of %d done", text, updated, asked)
}

// next writes what the set waits for or does next.
func next(out io.Writer, set *view.Set) error {
	sentence, command := set.Next()
	if sentence == "" {
		return nil
	}
	if command != "" {
		sentence += ". Try: " + command
	}
	_, err := fmt.Fprintf(out, "\n%-17s%s\n", "Next", sentence)
	return err
}

// collapseFrom is the number of groups from which on lines that say the same are collapsed. minCollapsed is the least
// number of such lines.
const (
	collapseFrom = 20
	minCollapsed = 4
)

// collapse replaces lines of neighboring groups that are the same but for index, time and nodes by one line for all.
func collapse(groups []view.Group, rows [][]string) [][]string {
	if len(rows) < collapseFrom {
		return rows
	}
	var shown [][]string
	for first := 0; first < len(rows); {
		last := first
		for last+1 < len(rows) && groups[last+1].Index == groups[last].Index+1 && alike(rows[first], rows[last+1]) {
			last++
		}
		if last-first+1 < minCollapsed {
			shown = append(shown, rows[first:last+1]...)
		} else {
			shown = append(shown, collapsed(rows[first], rows[last]))
		}
		first = last + 1
	}
	return shown
}

// alike reports whether two lines say the same of ready groups, or of groups that have the same reason and no pods.
func alike(a, b []string) bool {
	why := len(a) - 1
	return a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[5] == b[5] && a[why] == b[why]
}

func collapsed(first, last []string) []string {
	row := append([]string(nil), first...)
	row[0], row[4], row[6] = first[0]+"-"+last[0], "…", "…"
	return row
}

func plural(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}
