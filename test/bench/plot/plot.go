// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plot draws charts of lines and of ranges as SVG. It uses no library, because a library would add fonts and
// renderers of other formats to go.mod for these two kinds of charts.
package plot

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Chart is a chart of lines. Both axes begin at zero.
type Chart struct {
	Title string
	// X and Y are the names of the axes, with units.
	X, Y  string
	Lines []Line
}

// Line is a line through points.
type Line struct {
	Name string
	// Points are drawn from left to right. None is negative.
	Points []Point
}

// Point is a point in the units of the axes.
type Point struct{ X, Y float64 }

// The size of the chart and its margins, in pixels.
const (
	width, height            = 720, 420
	left, right, top, bottom = 70, 170, 40, 50
)

// ticks is the approximate number of numbers on an axis.
const ticks = 5

// colors are distinct for color-blind people. They are from Okabe and Ito, "Color Universal Design".
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// SVG draws the chart.
func (c Chart) SVG() string {
	x, y := c.axes()
	var b strings.Builder
	begin(&b, height, c.Title)
	for _, value := range x.values() {
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/>`+"\n", x.at(value), top, height-bottom)
		text(&b, x.at(value), height-bottom+18, "middle", number(value), "")
	}
	for _, value := range y.values() {
		fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/>`+"\n", left, y.at(value), width-right)
		text(&b, left-8, y.at(value)+4, "end", number(value), "")
	}
	text(&b, (left+width-right)/2, height-12, "middle", c.X, "")
	text(&b, 0, 0, "middle", c.Y, fmt.Sprintf(`transform="translate(18 %d) rotate(-90)"`, (top+height-bottom)/2))
	for i, line := range c.Lines {
		line.draw(&b, x, y, colors[i%len(colors)], i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// begin begins a chart with its title on white.
func begin(b *strings.Builder, height int, title string) {
	const root = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`
	fmt.Fprintf(b, root+"\n", width, height)
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(b, left, 24, "start", title, `font-size="15"`)
}

// draw draws a line, its points, and its name in the list on the right.
func (l Line) draw(b *strings.Builder, x, y axis, color string, position int) {
	points := slices.SortedFunc(slices.Values(l.Points), func(p, q Point) int { return cmp.Compare(p.X, q.X) })
	var path []string
	for _, p := range points {
		path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x.at(p.X), y.at(p.Y), color)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), color)
	line := float64(top + 12 + 20*position)
	fmt.Fprintf(b, `<path d="M%d %.1f h20" stroke="%s" stroke-width="2"/>`+"\n", width-right+16, line-4, color)
	text(b, width-right+42, line, "start", l.Name, "")
}

// axes returns axes that fit all points.
func (c Chart) axes() (x, y axis) {
	maxX, maxY := 0.0, 0.0
	for _, line := range c.Lines {
		for _, p := range line.Points {
			maxX, maxY = max(maxX, p.X), max(maxY, p.Y)
		}
	}
	return newAxis(maxX, left, width-right), newAxis(maxY, height-bottom, top)
}

// axis maps numbers, from zero on, to pixels.
type axis struct {
	step, end float64
	from, to  float64
}

// newAxis returns an axis between two pixels that has room for the largest number.
func newAxis(largest, from, to float64) axis {
	step := stepFor(largest)
	return axis{step: step, end: max(step, math.Ceil(largest/step)*step), from: from, to: to}
}

// stepFor returns the distance between the numbers on an axis. It is 1, 2 or 5 times a power of ten, and the smallest
// one that is at least a fifth of the largest number. For 1,000 the step is 200. For 37 the step is 10, since a fifth
// of 37 is 7.4.
func stepFor(largest float64) float64 {
	if largest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(largest/ticks)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power*ticks >= largest {
			return factor * power
		}
	}
	return 10 * power
}

func (a axis) at(value float64) float64 { return a.from + value/a.end*(a.to-a.from) }

// values returns the numbers on the axis.
func (a axis) values() []float64 {
	var values []float64
	for i := 0; float64(i)*a.step <= a.end*(1+1e-9); i++ {
		values = append(values, float64(i)*a.step)
	}
	return values
}

// number formats a number on an axis, without rounding errors of floating point.
func number(value float64) string { return fmt.Sprintf("%.6g", value) }

func text(b *strings.Builder, x, y float64, anchor, content, attributes string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(content)) // Writing to a strings.Builder never fails.
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n",
		x, y, anchor, attributes, escaped.String())
}
