// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// none stands for a missing figure.
const none = "-"

// scenarioColumn is the first column of tables.
const scenarioColumn = "scenario"

// dimension is the number and size of the groups of one table of results, and the profile.
type dimension struct {
	groups, size int
	profile      string
}

// key returns the key of a scenario.
func (d dimension) key(scenario string) Key { return Key{scenario, d.groups, d.size, d.profile} }

// header names the columns of a table of results.
var header = []string{
	scenarioColumn, "pods s", "cluster CPU s", "of floor", "marked s", "status s", "writes", "per group", "failed",
	"reads", "CPU s", "passes", "anonymous MiB", "resident MiB", "peak MiB", "fewest ready", "restarted",
}

// Tables writes a table in Markdown for each profile, number and size of groups, in the order of the results.
func (r *Report) Tables(out io.Writer) {
	var order []dimension
	rows := map[dimension][][]string{}
	for i := range r.Results {
		result := &r.Results[i]
		about := dimension{result.Groups, result.Size, result.Profile}
		if _, known := rows[about]; !known {
			order = append(order, about)
		}
		rows[about] = append(rows[about], r.row(result))
	}
	for _, about := range order {
		_, _ = fmt.Fprintf(out, "\n%d groups of %d pods, %s\n\n", about.groups, about.size, about.profile)
		table(out, header, rows[about])
	}
}

// row returns the table row of a result.
func (r *Report) row(result *Result) []string {
	if isFloor(result.Scenario) {
		row := slices.Repeat([]string{none}, len(header))
		row[0], row[1], row[2] = result.Scenario, seconds(result.Seconds), seconds(result.ClusterCPUSeconds)
		return row
	}
	name := result.Scenario
	if result.Error != "" {
		name += " (not finished)"
	}
	writes := Sum(result.Writes)
	return []string{
		name, seconds(result.Seconds), seconds(result.ClusterCPUSeconds), r.ofFloor(result),
		seconds(result.MarkedSeconds), seconds(result.StatusSeconds),
		fmt.Sprint(writes), fmt.Sprintf("%.2f", float64(writes)/float64(result.Groups)), failures(result.FailedWrites),
		fmt.Sprint(Sum(result.Reads)),
		fmt.Sprintf("%.2f", result.CPUSeconds), optional(result.Passes), fmt.Sprintf("%.1f", result.AnonymousMiB),
		fmt.Sprintf("%.1f", result.ResidentMiB), fmt.Sprintf("%.1f", result.PeakMiB),
		optional(result.FewestReady), result.Restarts.String(),
	}
}

// floorOf returns the result that a result is compared with, or nil if there is none.
func (r *Report) floorOf(result *Result) *Result {
	key := result.Key
	key.Scenario = floors[result.Scenario]
	return r.Find(key)
}

// ofFloor returns the time of a scenario as a multiple of the time of its floor.
func (r *Report) ofFloor(result *Result) string {
	floor := r.floorOf(result)
	if floor == nil || result.Error != "" {
		return none
	}
	return formatRatio(result.Seconds, floor.Seconds)
}

// ClusterRequests writes how many requests for pods and StatefulSets each sender made per group.
func (r *Report) ClusterRequests(out io.Writer) {
	var rows [][]string
	for i := range r.Results {
		result := &r.Results[i]
		if result.ClusterRequests == nil {
			continue
		}
		perGroup := func(requests int) string { return fmt.Sprintf("%.2f", float64(requests)/float64(result.Groups)) }
		row := []string{result.title(), perGroup(result.allPodRequests())}
		for _, sender := range Senders() {
			row = append(row, perGroup(result.podRequests(sender)))
		}
		rows = append(rows, row)
	}
	_, _ = fmt.Fprint(out, "\nRequests for pods and StatefulSets per group, of the whole cluster\n\n")
	table(out, append([]string{scenarioColumn, "all"}, Senders()...), rows)
}

// title returns the scenario with the number and size of its groups, and the profile.
func (r *Result) title() string {
	return fmt.Sprintf("%s, %d × %d, %s", r.Scenario, r.Groups, r.Size, r.Profile)
}

// Requests writes the controller's requests in each scenario, by verb and resource.
func (r *Report) Requests(out io.Writer) {
	var rows [][]string
	for i := range r.Results {
		result := &r.Results[i]
		if isFloor(result.Scenario) {
			continue
		}
		rows = append(rows, []string{
			result.title(), list(result.Writes), list(result.FailedWrites), list(result.Reads),
		})
	}
	_, _ = fmt.Fprint(out, "\nRequests\n\n")
	table(out, []string{scenarioColumn, "writes", "of these failed", "reads"}, rows)
}

// String returns a text like "50 of 50", followed by unexpected restarts.
func (r *Restarts) String() string {
	if r == nil {
		return none
	}
	text := fmt.Sprintf("%d of %d", r.Restarted, r.Killed)
	if r.Again > 0 {
		text += fmt.Sprintf(", %d again", r.Again)
	}
	if r.Others > 0 {
		text += fmt.Sprintf(", %d others", r.Others)
	}
	return text
}

func seconds(value float64) string {
	if value == 0 {
		return none
	}
	return fmt.Sprintf("%.2f", value)
}

func failures(failed map[string]int) string { return fmt.Sprint(Sum(failed)) }

func optional[T int | float64](value *T) string {
	if value == nil {
		return none
	}
	return fmt.Sprintf("%v", *value)
}

// list returns a text like "499 create statefulsets, 12 patch pods", the largest number first.
func list(requests map[string]int) string {
	if len(requests) == 0 {
		return none
	}
	names := slices.SortedFunc(maps.Keys(requests), func(a, b string) int {
		return cmp.Or(cmp.Compare(requests[b], requests[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", requests[name], name)
	}
	return strings.Join(names, ", ")
}

// table writes a Markdown table with aligned columns.
func table(out io.Writer, header []string, rows [][]string) {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	line := func(cells []string) {
		for i, cell := range cells {
			_, _ = fmt.Fprintf(out, "| %-*s ", widths[i], cell)
		}
		_, _ = fmt.Fprintln(out, "|")
	}
	line(header)
	for _, width := range widths {
		_, _ = fmt.Fprint(out, "|", strings.Repeat("-", width+2))
	}
	_, _ = fmt.Fprintln(out, "|")
	for _, row := range rows {
		line(row)
	}
}
