// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
)

// summaryRow is one row of the summary for each result of a scenario.
type summaryRow struct {
	what, scenario string
	of             func(*Result) float64
	// hasFloor is true if the figure is comparable with the seconds of the floor.
	hasFloor bool
}

func summaryRows() []summaryRow {
	pods, marked := func(r *Result) float64 { return r.Seconds }, func(r *Result) float64 { return r.MarkedSeconds }
	return []summaryRow{
		{"a worker dies: all pods of its group are stopping", Recovery, marked, false},
		{"a worker dies: its group is whole again", Recovery, pods, true},
		{"all groups get another image, 10% at a time", Update, pods, true},
		{"another image, and half as many groups more, in one edit", Edit, pods, true},
		{"all groups are created", Create, pods, true},
		{"as many sets of one group are created", Many, pods, true},
	}
}

// Summary writes what a user waits for, and what it costs, first with the client limits of most clusters. If other
// isn't nil, the table shows the same figures of its controller.
func (r *Report) Summary(out io.Writer, other *Report) {
	header := []string{
		"what happens", "groups", "client limits", "seconds", "floor s", "of floor", "CPU s", "requests per group",
	}
	if other != nil {
		header = append(header, other.Controller+": seconds", "CPU s", "requests per group")
	}
	var rows [][]string
	for _, about := range summaryRows() {
		for _, profile := range []string{Defaults, Unlimited} {
			for i := range r.Results {
				if result := &r.Results[i]; result.Scenario == about.scenario && result.Profile == profile {
					rows = append(rows, r.summaryCells(about, result, other))
				}
			}
		}
	}
	table(out, header, rows)
}

// summaryCells returns the cells of a row of the summary.
func (r *Report) summaryCells(about summaryRow, result *Result, other *Report) []string {
	floorSeconds, ofFloor := none, none
	if floor := r.floorOf(result); floor != nil && about.hasFloor && result.Error == "" {
		floorSeconds, ofFloor = seconds(floor.Seconds), formatRatio(about.of(result), floor.Seconds)
	}
	own := about.figures(result)
	cells := []string{
		about.what, fmt.Sprintf("%d × %d", result.Groups, result.Size), result.Profile,
		own[0], floorSeconds, ofFloor, own[1], own[2],
	}
	if other != nil {
		theirs := about.figures(other.result(result.Key))
		cells = append(cells, theirs[:]...)
	}
	return cells
}

// figures returns the seconds, the CPU seconds and the requests per group of a result, which may be nil.
func (about summaryRow) figures(result *Result) [3]string {
	switch {
	case result == nil:
		return [3]string{none, none, none}
	case result.Error != "":
		return [3]string{"not finished", none, none}
	}
	requests := float64(result.allPodRequests()) / float64(result.Groups)
	return [3]string{about.seconds(result), fmt.Sprintf("%.2f", result.CPUSeconds), fmt.Sprintf("%.1f", requests)}
}

// seconds returns the median, and of more than one run also the fastest and the slowest.
func (about summaryRow) seconds(result *Result) string {
	text := fmt.Sprintf("%.2f", about.of(result))
	if about.hasFloor && result.Runs > 1 {
		text += fmt.Sprintf(" (%.2f to %.2f)", result.Fastest, result.Slowest)
	}
	return text
}

// Origin writes what was measured, where and how often.
func (r *Report) Origin(out io.Writer) {
	fewest, most := 0, 0
	for i := range r.Results {
		if runs := r.Results[i].Runs; runs > 0 {
			most = max(most, runs)
			if fewest == 0 || runs < fewest {
				fewest = runs
			}
		}
	}
	runs := fmt.Sprint(most)
	if fewest != most {
		runs = fmt.Sprintf("%d to %d", fewest, most)
	}
	_, _ = fmt.Fprintf(out, "%s %s, Kubernetes %s, %s, %s, %d cores, %.0f GiB of memory, %s, medians of runs: %s\n",
		r.Controller, r.Version, r.Kubernetes, r.Go, r.Machine, r.Cores, r.MemoryGiB, r.Date, runs)
}

// Publish replaces the summary in a document.
func (r *Report) Publish(document string, other *Report) error {
	var summary bytes.Buffer
	r.Summary(&summary, other)
	summary.WriteString("\n")
	r.Origin(&summary)
	if other != nil {
		summary.WriteString("\n")
		other.Origin(&summary)
	}
	return ReplaceSummary(document, summary.Bytes())
}

// The lines of a document between which ReplaceSummary replaces the text.
const summaryBegin, summaryEnd = "<!-- summary: begin -->\n", "<!-- summary: end -->\n"

// ReplaceSummary replaces the text between two lines of a document.
func ReplaceSummary(document string, summary []byte) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(text, []byte(summaryBegin))
	_, after, ends := bytes.Cut(rest, []byte(summaryEnd))
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", document, summaryBegin, summaryEnd)
	}
	published := slices.Concat(before, []byte(summaryBegin+"\n"), summary, []byte("\n"+summaryEnd), after)
	return os.WriteFile(document, published, 0o644)
}
