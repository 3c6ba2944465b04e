// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// longestLine is the number of characters that fit into a line of causes.
const longestLine = 112

// causeLine is a line of text below the picture. Only the first line of a cause has its number.
type causeLine struct {
	number int
	words  string
}

// causeLines returns the causes as lines.
func (c *canvas) causeLines() []causeLine {
	var lines []causeLine
	for i, of := range c.causes {
		number, line := i+1, fmt.Sprintf("%d s: ", of.second)
		for word := range strings.FieldsSeq(of.text) {
			if len(line)+len(word) > longestLine {
				lines = append(lines, causeLine{number, line})
				number, line = 0, ""
			}
			line += word + " "
		}
		lines = append(lines, causeLine{number, line})
	}
	return lines
}

// marks draws the number of each cause above its second, and the causes from y on.
func (c *canvas) marks(y int, lines []causeLine) {
	const radius = 7
	for _, at := range c.markPlaces(radius) {
		x := c.xOf(c.causes[at.cause].second)
		if at.isFirst {
			c.addf(`<path class="guide" d="M%.5g %dV%d"/>`+"\n", x, head+16, c.axisY()-rowGap)
		}
		c.mark(at.x, head+8, at.cause+1)
	}
	for i, line := range lines {
		base := y + i*lineHeight + 8
		if line.number > 0 {
			c.mark(margin+radius, base-4, line.number)
		}
		c.text(margin+22, base, "", strings.TrimSpace(line.words))
	}
}

// place is where the number of a cause is drawn.
type place struct {
	cause   int
	x       float64
	isFirst bool // of its second
}

// markPlaces returns the places of the numbers: above their seconds, and further right where numbers would overlap.
func (c *canvas) markPlaces(radius float64) []place {
	var places []place
	for i, of := range c.causes {
		next := place{cause: i, x: c.xOf(of.second), isFirst: i == 0 || c.causes[i-1].second != of.second}
		if i > 0 {
			next.x = max(next.x, places[i-1].x+2*radius+1)
		}
		places = append(places, next)
	}
	return places
}

// mark draws the number of a cause.
func (c *canvas) mark(x float64, y, number int) {
	c.addf(`<circle class="mark" cx="%.5g" cy="%d" r="7"/><text class="mark-text" x="%.5g" y="%d" text-anchor="middle">`+
		`%d</text>`+"\n", x, y, x, y+4, number)
}
