// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"fmt"
	"strings"
)

// Ranges is a chart of one range a row. Its axis begins at zero.
type Ranges struct {
	Title string
	// X is the name of the axis, with its unit.
	X string
	// From and To say what the ends of the ranges are.
	From, To string
	Rows     []Range
}

// Range is a row. Neither end is negative.
type Range struct {
	Name     string
	From, To float64
}

// The size of the rows and of the margins that differ from those of a Chart, in pixels.
const (
	rowHeight = 22
	names     = 190
	edge      = 30
)

// SVG draws the chart.
func (c Ranges) SVG() string {
	largest := 0.0
	for _, row := range c.Rows {
		largest = max(largest, row.From, row.To)
	}
	x := newAxis(largest, names, width-edge)
	height := top + rowHeight*len(c.Rows) + bottom
	var b strings.Builder
	begin(&b, height, c.Title)
	for _, value := range x.values() {
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/>`+"\n", x.at(value), top, height-bottom)
		text(&b, x.at(value), float64(height-bottom+18), "middle", number(value), "")
	}
	text(&b, (names+width-edge)/2, float64(height-12), "middle", c.X, "")
	dot(&b, width-170, 20, colors[0])
	text(&b, width-160, 24, "start", c.From, "")
	dot(&b, width-100, 20, colors[1])
	text(&b, width-90, 24, "start", c.To, "")
	for i, row := range c.Rows {
		y := float64(top + rowHeight*i + rowHeight/2)
		text(&b, names-10, y+4, "end", row.Name, "")
		fmt.Fprintf(&b, `<path d="M%.1f %.1f H%.1f" stroke="#999" stroke-width="2"/>`+"\n", x.at(row.From), y, x.at(row.To))
		dot(&b, x.at(row.To), y, colors[1])
		dot(&b, x.at(row.From), y, colors[0])
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func dot(b *strings.Builder, x, y float64, color string) {
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y, color)
}
