// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"math"
)

// Compare writes the ratios of the figures of this report to those of another. 0.50 is half of the other's figure.
// Compare omits scenarios that one of the reports hasn't finished. Seconds are comparable only if both ran on the same
// machine.
func (r *Report) Compare(out io.Writer, other *Report) {
	var rows [][]string
	for i := range r.Results {
		result := &r.Results[i]
		base := other.Find(result.Key)
		if base == nil || result.Error != "" {
			continue
		}
		rows = append(rows, []string{
			result.title(),
			formatRatio(result.Seconds, base.Seconds),
			formatRatio(float64(Sum(result.Writes)), float64(Sum(base.Writes))),
			formatRatio(float64(Sum(result.Reads)), float64(Sum(base.Reads))),
			formatRatio(result.CPUSeconds, base.CPUSeconds),
			formatRatio(result.PeakMiB, base.PeakMiB),
			formatRatio(passes(result), passes(base)),
		})
	}
	_, _ = fmt.Fprintf(out, "\n%s %s to %s %s of %s\n\n",
		r.Controller, r.Version, other.Controller, other.Version, other.Date)
	table(out, []string{scenarioColumn, "pods s", "writes", "reads", "CPU s", "peak MiB", "passes"}, rows)
}

func passes(result *Result) float64 {
	if result.Passes == nil {
		return math.NaN()
	}
	return *result.Passes
}

// formatRatio formats a divided by b, or returns none if the quotient isn't a finite number.
func formatRatio(a, b float64) string {
	if value := a / b; !math.IsNaN(value) && !math.IsInf(value, 0) {
		return fmt.Sprintf("%.2f", value)
	}
	return none
}
