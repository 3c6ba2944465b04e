// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The sizes of a picture, in pixels. The width is that of a page of text.
const (
	width, margin      = 800, 14
	names              = 70 // the width of the names of rows
	head               = 62 // the height of title and legend
	markHeight         = 26 // the height of the numbers of causes
	rowHeight, rowGap  = 20, 4
	readyHeight        = 12 // the height of one ready group in the chart
	lineHeight         = 16
	widest, gapColumns = 24, 3
	// A stretch without changes is shortened if it is longer than longest columns; kept columns on both sides remain.
	longest, kept = 12, 3
)

// column is a second of a picture, or a stretch of seconds that is left out.
type column struct {
	x      float64
	second int
	isGap  bool
}

// style has the colors of light and dark pages. They are distinct for color-blind people. The hues are from Okabe and
// Ito, "Color Universal Design".
const style = `
.page{fill:#fff;stroke:#d0d7de}.gap{fill:#fff}
text{font:12px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}.small{font-size:11px;fill:#59636e}
.old{fill:#e69f00}.new{fill:#0072b2}.unready-old{fill:url(#stripes-old)}.unready-new{fill:url(#stripes-new)}
.pale-old{fill:#fbe7bf}.pale-new{fill:#c9e1f0}
.terminating{fill:#8c959f}.missing{fill:none;stroke:#afb8c1;stroke-dasharray:2 2}
.seconds{stroke:#fff;stroke-opacity:.55}.mark{fill:#1f2328}.mark-text{fill:#fff;font-size:10px;font-weight:600}
.guide{stroke:#59636e;stroke-opacity:.5;stroke-dasharray:1 3}.axis{stroke:#afb8c1}
.ready{fill:#009e73;fill-opacity:.3;stroke:#009e73}.budget{stroke:#d55e00;stroke-width:1.5;stroke-dasharray:5 3}
.budget-text{fill:#b34700;font-size:11px}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117;stroke:#3d444d}.gap{fill:#0d1117}text{fill:#f0f6fc}.small{fill:#9198a1}
.new{fill:#56b4e9}.pale-old{fill:#4d3a0d}.pale-new{fill:#16384b}
.terminating{fill:#656c76}.missing{stroke:#656c76}
.seconds{stroke:#0d1117}.mark{fill:#f0f6fc}.mark-text{fill:#0d1117}
.guide{stroke:#9198a1}.axis{stroke:#3d444d}.budget{stroke:#ff8a3d}.budget-text{fill:#ff8a3d}
}
`

// patterns fill the groups that aren't ready.
const patterns = `<defs>
<pattern id="stripes-old" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
	`<rect class="pale-old" width="6" height="6"/><rect class="old" width="2" height="6"/></pattern>
<pattern id="stripes-new" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
	`<rect class="pale-new" width="6" height="6"/><rect class="new" width="2" height="6"/></pattern>
</defs>
`

// firstRevision is the revision that pictures call old.
const firstRevision = 1

// canvas is a picture that grows.
type canvas struct {
	strings.Builder
	story
	columns []column
	cell    float64 // the width of a second
	rows    int
}

// draw returns a picture of a story.
func draw(title string, told story) string {
	c := &canvas{story: told}
	for _, states := range c.seconds {
		c.rows = max(c.rows, len(states))
	}
	c.layOut()
	lines := c.causeLines()
	height := c.axisY() + 26 + c.readyRows()*readyHeight + 26 + len(lines)*lineHeight + margin
	c.addf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n",
		width, height, width, height)
	c.addf("<title>%s</title>\n<style>%s</style>\n%s", html.EscapeString(title), style, patterns)
	c.addf(`<rect class="page" x=".5" y=".5" width="%d" height="%d" rx="6"/>`+"\n", width-1, height-1)
	c.text(margin, 24, "title", title)
	c.legend()
	c.groupRows()
	c.axis()
	c.readyChart()
	c.marks(height-margin-len(lines)*lineHeight+4, lines)
	c.WriteString("</svg>\n")
	return c.String()
}

func (c *canvas) addf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// text adds a line of text. A class may be empty.
func (c *canvas) text(x float64, y int, class, words string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	c.addf(`<text x="%.5g" y="%d"%s>%s</text>`+"\n", x, y, class, html.EscapeString(words))
}

// layOut chooses the columns.
func (c *canvas) layOut() {
	var all []column
	for second := 0; second < len(c.seconds); second++ {
		end := second
		for end+1 < len(c.seconds) && c.isQuiet(second, end+1) {
			end++
		}
		if end-second+1 <= longest {
			all = append(all, column{second: second})
			continue
		}
		for at := second; at < second+kept; at++ {
			all = append(all, column{second: at})
		}
		all = append(all, column{second: second + kept, isGap: true})
		second = end - kept
	}
	units := 0.0
	for _, one := range all {
		units += c.units(one)
	}
	c.cell = min(widest, (width-names-2*margin)/units)
	x := float64(margin + names)
	for i := range all {
		all[i].x = x
		x += c.units(all[i]) * c.cell
	}
	all = append(all, column{x: x, second: len(c.seconds)})
	c.columns = all
}

// units returns the width of a column in cells.
func (c *canvas) units(of column) float64 {
	if of.isGap {
		return gapColumns
	}
	return 1
}

// isQuiet reports whether nothing has changed between two seconds.
func (c *canvas) isQuiet(from, to int) bool {
	return slices.Equal(c.seconds[from], c.seconds[to]) &&
		!slices.ContainsFunc(c.causes, func(of cause) bool { return of.second > from && of.second <= to })
}

// xOf returns where a second begins.
func (c *canvas) xOf(second int) float64 {
	for _, of := range c.columns {
		if of.second == second && !of.isGap {
			return of.x
		}
	}
	return c.columns[0].x
}

func (c *canvas) rowY(row int) int { return head + markHeight + row*(rowHeight+rowGap) }

func (c *canvas) axisY() int { return c.rowY(c.rows) }

// classOf returns the class of a state in a row.
func (c *canvas) classOf(of state) string {
	age := "new"
	if of.revision == firstRevision {
		age = "old"
	}
	switch of.phase {
	case ready:
		return age
	case unready:
		return "unready-" + age
	case terminating:
		return "terminating"
	default:
		return "missing"
	}
}

// at returns the state of a row in a second.
func (c *canvas) at(row, second int) state {
	if states := c.seconds[second]; row < len(states) {
		return states[row]
	}
	return state{}
}

// groupRows draws a row of runs of equal states for each group, and lines between seconds.
func (c *canvas) groupRows() {
	for row := range c.rows {
		y := c.rowY(row)
		c.text(margin, y+14, "", fmt.Sprintf("group %d", row))
		for i := 0; i < len(c.columns)-1; {
			end, of := i+1, c.at(row, c.columns[i].second)
			for end < len(c.columns)-1 && c.at(row, c.columns[end].second) == of {
				end++
			}
			c.run(y, c.columns[i].x, c.columns[end].x, of)
			i = end
		}
	}
	bottom := c.axisY() - rowGap
	var path strings.Builder
	for _, of := range c.columns[1 : len(c.columns)-1] {
		fmt.Fprintf(&path, "M%.5g %dV%d", of.x, c.rowY(0), bottom)
	}
	c.addf(`<path class="seconds" d="%s"/>`+"\n", &path)
	for _, of := range c.columns {
		if of.isGap {
			c.addf(`<rect class="gap" x="%.5g" y="%d" width="%.5g" height="%d"/>`+"\n",
				of.x+c.cell, c.rowY(0)-1, c.cell*(gapColumns-2), bottom-c.rowY(0)+2)
		}
	}
}

// run draws a run of equal states.
func (c *canvas) run(y int, from, to float64, of state) {
	if of.phase == missing {
		c.addf(`<rect class="missing" x="%.5g" y="%g" width="%.5g" height="%d"/>`+"\n", from+.5, float64(y)+.5, to-from-1,
			rowHeight-1)
		return
	}
	c.addf(`<rect class="%s" x="%.5g" y="%d" width="%.5g" height="%d"/>`+"\n", c.classOf(of), from, y, to-from, rowHeight)
}

// legend draws the states that the picture has.
func (c *canvas) legend() {
	x := float64(margin)
	for _, entry := range []struct{ class, words string }{
		{"old", "ready, old"}, {"unready-old", "not ready, old"}, {"new", "ready, new"}, {"unready-new", "not ready, new"},
		{"terminating", "terminating"}, {"missing", "no pods"},
	} {
		if !c.has(entry.class) {
			continue
		}
		words := entry.words
		if !c.has("new") && !c.has("unready-new") {
			words, _, _ = strings.Cut(words, ", old")
		}
		c.addf(`<rect class="%s" x="%g" y="38" width="14" height="14"/>`+"\n", entry.class, x)
		c.text(x+19, 49, "", words)
		x += 40 + 6.6*float64(len(words))
	}
}

// has reports whether a state of a class occurs.
func (c *canvas) has(class string) bool {
	for second := range c.seconds {
		for row := range c.rows {
			if c.classOf(c.at(row, second)) == class {
				return true
			}
		}
	}
	return false
}

// axis draws the seconds below the rows.
func (c *canvas) axis() {
	y, last := c.axisY(), -100.0
	for i, of := range c.columns[:len(c.columns)-1] {
		if of.isGap {
			c.text(of.x+c.cell*gapColumns/2-4, y+11, "small", "…")
			last = of.x + c.cell
			continue
		}
		afterGap := i > 0 && c.columns[i-1].isGap
		if (of.second%5 == 0 || afterGap) && of.x-last > 28 && of.x < width-margin-20 {
			c.text(of.x, y+11, "small", fmt.Sprintf("%d s", of.second))
			last = of.x
		}
	}
}

// readyRows is the highest number of groups in the chart of ready groups.
func (c *canvas) readyRows() int { return max(c.rows, c.replicas) }

// readyChart draws how many groups are ready, and the budget as a line.
func (c *canvas) readyChart() {
	bottom := c.axisY() + 26 + c.readyRows()*readyHeight
	c.text(margin, bottom-c.readyRows()*readyHeight/2+4, "", "ready")
	left, right := c.columns[0].x, c.columns[len(c.columns)-1].x
	var path strings.Builder
	fmt.Fprintf(&path, "M%.5g %d", left, bottom)
	for i, of := range c.columns[:len(c.columns)-1] {
		count := 0
		for row := range c.rows {
			if c.at(row, of.second).phase == ready {
				count++
			}
		}
		fmt.Fprintf(&path, "V%dH%.5g", bottom-count*readyHeight, c.columns[i+1].x)
	}
	c.addf(`<path class="ready" d="%sV%d"/>`+"\n", &path, bottom)
	for count := range c.readyRows() + 1 {
		y := bottom - count*readyHeight
		c.addf(`<text class="small" x="%.5g" y="%d" text-anchor="end">%d</text>`+"\n", left-5, y+4, count)
	}
	c.addf(`<path class="axis" d="M%.5g %dH%.5g"/>`+"\n", left, bottom, right)
	if c.budget >= 0 {
		y := bottom - c.budget*readyHeight
		c.addf(`<path class="budget" d="M%.5g %dH%.5g"/>`+"\n", left, y, right)
		c.text(left, bottom+15, "budget-text",
			fmt.Sprintf("- - -  the budget: the rollout takes no ready group away if fewer than %d stay ready", c.budget))
	}
}
