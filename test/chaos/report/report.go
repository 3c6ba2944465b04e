// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package report says in tables and a chart how the operator has healed from faults.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leaderworkerset/lws-operator/test/bench/plot"
	benchreport "github.com/leaderworkerset/lws-operator/test/bench/report"
)

// Report is what a run has shown.
type Report struct {
	Seed     uint64
	Duration time.Duration
	Rounds   []Round
}

// Round is one fault.
type Round struct {
	Fault string
	// Heal is the time from the end of the fault until everything has healed.
	Heal time.Duration
	// Affected is how many groups stopped being ready.
	Affected int
}

// kind sums up the rounds of one kind of fault.
type kind struct {
	fault            string
	rounds, affected int
	median, worst    time.Duration
}

// kinds returns the kinds of faults, the slowest to heal last.
func (r *Report) kinds() []kind {
	byFault := map[string][]Round{}
	for _, round := range r.Rounds {
		byFault[round.Fault] = append(byFault[round.Fault], round)
	}
	var kinds []kind
	for fault, rounds := range byFault {
		slices.SortFunc(rounds, func(a, b Round) int { return cmp.Compare(a.Heal, b.Heal) })
		k := kind{fault: fault, rounds: len(rounds)}
		k.median, k.worst = rounds[(len(rounds)-1)/2].Heal, rounds[len(rounds)-1].Heal
		for _, round := range rounds {
			k.affected += round.Affected
		}
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.median, b.median), cmp.Compare(a.fault, b.fault))
	})
	return kinds
}

// Markdown returns the table of the kinds of faults.
func (r *Report) Markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Seed %d, %d rounds in %.0f minutes.\n\n", r.Seed, len(r.Rounds), r.Duration.Minutes())
	text.WriteString("| fault | rounds | groups affected | healed after, p50 | worst |\n")
	text.WriteString("| --- | ---: | ---: | ---: | ---: |\n")
	for _, k := range r.kinds() {
		fmt.Fprintf(&text, "| %s | %d | %d | %.1f s | %.1f s |\n",
			k.fault, k.rounds, k.affected, k.median.Seconds(), k.worst.Seconds())
	}
	return text.String()
}

// SVG returns a chart of the times to heal.
func (r *Report) SVG() string {
	chart := plot.Ranges{
		Title: "Time to heal after a fault", X: "seconds from the end of the fault", From: "p50", To: "worst",
	}
	for _, k := range r.kinds() {
		chart.Rows = append(chart.Rows, plot.Range{Name: k.fault, From: k.median.Seconds(), To: k.worst.Seconds()})
	}
	return chart.SVG()
}

// Publish replaces the summary of a document, and writes the chart beside it.
func (r *Report) Publish(document string) error {
	return errors.Join(
		benchreport.ReplaceSummary(document, []byte(r.Markdown())),
		os.WriteFile(strings.TrimSuffix(document, ".md")+".svg", []byte(r.SVG()), 0o644))
}

// Write writes chaos.md and chaos.svg to a directory.
func (r *Report) Write(dir string) error {
	return errors.Join(
		os.MkdirAll(dir, 0o750),
		os.WriteFile(filepath.Join(dir, "chaos.md"), []byte(r.Markdown()), 0o600),
		os.WriteFile(filepath.Join(dir, "chaos.svg"), []byte(r.SVG()), 0o600))
}
