// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/leaderworkerset/lws-operator/test/bench/plot"
)

// figure is a figure that a chart shows over the number of groups.
type figure struct {
	file, title, unit string
	scenarios         []string
	of                func(*Result) float64
}

func figures() []figure {
	work := []string{Create, Kill, Update, ScaleUp, Delete}
	return []figure{
		{"time", "Time until the pods are as they should be", "s", append([]string{Floor, UpdateFloor}, work...),
			func(r *Result) float64 { return r.Seconds }},
		{"requests", "Writes to the API server", "requests", work, func(r *Result) float64 { return float64(Sum(r.Writes)) }},
		{"cpu", "CPU time of the controller", "s", append(work, Restart), func(r *Result) float64 { return r.CPUSeconds }},
		{"memory", "Peak memory of the controller", "MiB", []string{Create, Update, Restart},
			func(r *Result) float64 { return r.PeakMiB }},
	}
}

// WritePlots draws the costs of scenarios over the number of groups, as SVG files in an existing directory. It draws no
// chart for a report with a single number of groups. Charts show the profile Unlimited.
func (r *Report) WritePlots(dir string, size int) error {
	for _, f := range figures() {
		chart, drawable := r.chart(f, size)
		if !drawable {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "benchmark-"+f.file+".svg"), []byte(chart.SVG()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// chart returns the chart of a figure. The chart is drawable if at least one line has two points.
func (r *Report) chart(f figure, size int) (chart plot.Chart, drawable bool) {
	chart = plot.Chart{Title: f.title, X: fmt.Sprintf("groups of %d pods", size), Y: f.unit}
	for _, scenario := range f.scenarios {
		line := plot.Line{Name: scenario}
		for i := range r.Results {
			result := &r.Results[i]
			about := dimension{result.Groups, size, Unlimited}
			if result.Key == about.key(scenario) && result.Error == "" {
				line.Points = append(line.Points, plot.Point{X: float64(result.Groups), Y: f.of(result)})
			}
		}
		drawable = drawable || len(line.Points) > 1
		chart.Lines = append(chart.Lines, line)
	}
	return chart, drawable
}
