// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"math"
)

// Compare writes how the figures of this report relate to those of another: 0.50 is half of the other's. Scenarios that one of them
// hasn't finished are left out. Seconds can be compared only if both ran on the same machine.
func (r *Report) Compare(out io.Writer, other *Report) {
	var rows [][]string
	for i := range r.Results {
		mine := &r.Results[i]
		theirs := other.Find(mine.Key)
		if theirs == nil || mine.Error != "" {
			continue
		}
		rows = append(rows, []string{
			fmt.Sprintf("%s, %d × %d", mine.Scenario, mine.Groups, mine.Size),
			quotient(mine.Seconds, theirs.Seconds),
			quotient(float64(Sum(mine.Writes)), float64(Sum(theirs.Writes))),
			quotient(float64(Sum(mine.Reads)), float64(Sum(theirs.Reads))),
			quotient(mine.CPUSeconds, theirs.CPUSeconds),
			quotient(mine.PeakMiB, theirs.PeakMiB),
			quotient(passes(mine), passes(theirs)),
		})
	}
	_, _ = fmt.Fprintf(out, "\n%s %s to %s %s of %s\n\n", r.Controller, r.Version, other.Controller, other.Version, other.Date)
	table(out, []string{"scenario", "pods s", "writes", "reads", "CPU s", "peak MiB", "passes"}, rows)
}

func passes(result *Result) float64 {
	if result.Passes == nil {
		return math.NaN()
	}
	return *result.Passes
}

// quotient is a to b, if that says anything.
func quotient(a, b float64) string {
	if value := a / b; !math.IsNaN(value) && !math.IsInf(value, 0) {
		return fmt.Sprintf("%.2f", value)
	}
	return none
}
