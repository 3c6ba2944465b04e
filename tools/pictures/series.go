// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// series is a named line. Its points have minutes since the beginning, and values.
type series struct {
	name   string
	labels map[string]string
	points plotter.XYs
}

var label = regexp.MustCompile(`{{(\w+)}}`)

// seriesOf returns the series of all queries of a panel, the highest one first.
func seriesOf(p panel, d data) (all []series) {
	for i, target := range p.Targets {
		for _, found := range d.Panels[p.ID][i] {
			name := label.ReplaceAllStringFunc(target.LegendFormat, func(match string) string {
				return found.Metric[match[2:len(match)-2]]
			})
			s := series{name: name, labels: found.Metric}
			for _, value := range found.Values {
				at, _ := value[0].(float64)
				text, _ := value[1].(string)
				number, err := strconv.ParseFloat(text, 64)
				if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
					continue
				}
				s.points = append(s.points, plotter.XY{X: (at - float64(d.From)) / 60, Y: number})
			}
			if len(s.points) > 0 {
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b series) int {
		return cmp.Or(cmp.Compare(b.highest(), a.highest()), strings.Compare(a.name, b.name))
	})
	return all
}

// highest returns the highest value.
func (s series) highest() float64 {
	return slices.MaxFunc(s.points, func(a, b plotter.XY) int { return cmp.Compare(a.Y, b.Y) }).Y
}

// pieces splits points where some are missing.
func pieces(points plotter.XYs, step float64) (all []plotter.XYs) {
	var last float64
	for _, p := range points {
		if len(all) == 0 || p.X-last > 1.5*step {
			all = append(all, nil)
		}
		all[len(all)-1], last = append(all[len(all)-1], p), p.X
	}
	return all
}

// stepOf returns the least distance of two points, in minutes.
func stepOf(all []series) float64 {
	step := math.Inf(1)
	for _, s := range all {
		for i := 1; i < len(s.points); i++ {
			step = min(step, s.points[i].X-s.points[i-1].X)
		}
	}
	return step
}

// stack adds to each series the ones before it. Missing values count as zero.
func stack(all []series) []series {
	sums, stacked := map[int64]float64{}, make([]series, len(all))
	key := func(x float64) int64 { return int64(math.Round(x * 60)) }
	var times []float64
	for _, s := range all {
		for _, p := range s.points {
			if _, known := sums[key(p.X)]; !known {
				sums[key(p.X)] = 0
				times = append(times, p.X)
			}
		}
	}
	slices.Sort(times)
	for i, s := range all {
		for _, p := range s.points {
			sums[key(p.X)] += p.Y
		}
		stacked[i] = series{name: s.name, labels: s.labels}
		for _, x := range times {
			stacked[i].points = append(stacked[i].points, plotter.XY{X: x, Y: sums[key(x)]})
		}
	}
	return stacked
}

// format returns a value with Grafana's unit.
func format(value float64, unit string) string {
	short := func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	switch unit {
	case "percentunit":
		return short(value*100) + "%"
	case "bytes":
		return short(math.Round(value/(1<<20))) + " MiB"
	case "ops":
		return short(value) + " ops/s"
	case "reqps":
		return short(value) + " req/s"
	case "s":
		switch {
		case value >= 2*24*3600:
			return short(value/24/3600) + " days"
		case value >= 2*3600:
			return short(value/3600) + " h"
		case value >= 120:
			return short(value/60) + " min"
		case value < 1 && value > 0:
			return short(value*1000) + " ms"
		}
		return short(value) + " s"
	}
	if value == math.Trunc(value) {
		return fmt.Sprintf("%.0f", value)
	}
	return short(value)
}
