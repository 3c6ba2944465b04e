// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"os"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	canvas "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The sizes are in points, of which 96 are 96 pixels.
const (
	columns = 24
	// cell is the width and the height of a place in Grafana's grid, and gap the space between panels.
	cellWidth, cellHeight, gap = 40, 27, 4
	head                       = 34
	// lineHeight is that of small text. A legend has at most entries entries.
	lineHeight, entries = 12, 6
)

// colors are distinct for color-blind people. They are from Okabe and Ito, "Color Universal Design".
var colors = []color.NRGBA{
	{0x00, 0x72, 0xb2, 255}, {0xd5, 0x5e, 0x00, 255}, {0x00, 0x9e, 0x73, 255}, {0xcc, 0x79, 0xa7, 255},
	{0xe6, 0x9f, 0x00, 255}, {0x56, 0xb4, 0xe9, 255}, {0x44, 0x44, 0x44, 255},
}

var (
	black, gray = color.NRGBA{0x22, 0x22, 0x22, 255}, color.NRGBA{0x77, 0x77, 0x77, 255}
	border      = canvas.LineStyle{Color: color.NRGBA{0xcc, 0xcc, 0xcc, 255}, Width: 1}
)

// draw draws a dashboard into a file.
func draw(board dashboard, found data, file string) error {
	height := 0
	for _, p := range board.Panels {
		height = max(height, p.GridPos.Y+p.GridPos.H)
	}
	width, total := vg.Length(columns*cellWidth), vg.Length(height*cellHeight+head)
	img := vgimg.NewWith(vgimg.UseWH(width, total), vgimg.UseDPI(96))
	all := canvas.New(img)
	write(all, vg.Point{X: 8, Y: total - 22}, board.Title, 14, black)
	for _, p := range board.Panels {
		at := p.GridPos
		top := total - head - vg.Length(at.Y*cellHeight)
		box := canvas.Canvas{Canvas: all.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: vg.Length(at.X*cellWidth) + gap, Y: top - vg.Length(at.H*cellHeight) + gap},
			Max: vg.Point{X: vg.Length((at.X+at.W)*cellWidth) - gap, Y: top - gap},
		}}
		if err := drawPanel(box, p, found); err != nil {
			return fmt.Errorf("%s: %w", p.Title, err)
		}
	}
	var encoded bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(&encoded); err != nil {
		return err
	}
	return os.WriteFile(file, encoded.Bytes(), 0o644)
}

// drawPanel draws a panel into its box.
func drawPanel(box canvas.Canvas, p panel, found data) error {
	box.StrokeLines(border, []vg.Point{
		box.Min, {X: box.Min.X, Y: box.Max.Y}, box.Max, {X: box.Max.X, Y: box.Min.Y}, box.Min,
	})
	inner := canvas.Crop(box, 8, -8, 6, -6)
	write(inner, vg.Point{X: inner.Min.X, Y: inner.Max.Y - 10}, p.Title, 10, black)
	inner = canvas.Crop(inner, 0, 0, 0, -16)
	all := seriesOf(p, found)
	if len(all) == 0 {
		write(inner, inner.Center(), cmp.Or(p.FieldConfig.Defaults.NoValue, "No data"), 10, gray)
		return nil
	}
	switch p.Type {
	case "stat":
		drawNumber(inner, p, all, found)
	case "table":
		drawTable(inner, p, all)
	case "state-timeline":
		drawTimeline(inner, all, found)
	default:
		return drawLines(inner, p, all, found)
	}
	return nil
}

// drawNumber draws the last value of each series, and the line of the values behind it.
func drawNumber(c canvas.Canvas, p panel, all []series, found data) {
	const rows = 3
	for i, s := range all[:min(len(all), rows)] {
		value := format(s.points[len(s.points)-1].Y, p.FieldConfig.Defaults.Unit)
		size := 22.0
		if len(all) > 1 {
			size, value = 12, value+"  "+s.name
		}
		write(c, vg.Point{X: c.Min.X, Y: c.Max.Y - vg.Length(size)*vg.Length(1+i)*1.2}, value, size, colors[0])
	}
	most := all[0].highest()
	if most == 0 || len(all) > 1 {
		return
	}
	length := float64(found.To-found.From) / 60
	var line []vg.Point
	for _, xy := range all[0].points {
		line = append(line, vg.Point{
			X: c.Min.X + (c.Max.X-c.Min.X)*vg.Length(xy.X/length), Y: c.Min.Y + vg.Length(xy.Y/most)*26,
		})
	}
	c.StrokeLines(canvas.LineStyle{Color: colors[5], Width: 1}, line)
}

// drawTable draws the values of the last time with the most rows.
func drawTable(c canvas.Canvas, p panel, all []series) {
	rows := map[float64][]string{}
	for _, s := range all {
		for _, xy := range s.points {
			var labels []string
			for name, value := range s.labels {
				labels = append(labels, name+"="+value)
			}
			slices.Sort(labels)
			rows[xy.X] = append(rows[xy.X], fmt.Sprintf("%-6s  %s", format(xy.Y, p.FieldConfig.Defaults.Unit),
				strings.Join(labels, ", ")))
		}
	}
	best := 0.0
	for at, some := range rows {
		if len(some) > len(rows[best]) || len(some) == len(rows[best]) && at > best {
			best = at
		}
	}
	y := c.Max.Y - lineHeight
	write(c, vg.Point{X: c.Min.X, Y: y}, fmt.Sprintf("at minute %.1f", best), 8, gray)
	for _, row := range rows[best] {
		if y -= lineHeight; y > c.Min.Y {
			write(c, vg.Point{X: c.Min.X, Y: y}, row, 9, black)
		}
	}
}

// drawTimeline draws a bar for each series, where it has values.
func drawTimeline(c canvas.Canvas, all []series, found data) {
	length, step := float64(found.To-found.From)/60, stepOf(all)
	const names = 170
	width := c.Max.X - c.Min.X - names
	row := min(24, (c.Max.Y-c.Min.Y)/vg.Length(len(all)))
	for i, s := range all {
		y := c.Max.Y - row*vg.Length(i+1)
		write(c, vg.Point{X: c.Min.X, Y: y + row/2 - 4}, s.name, 8, black)
		for _, piece := range pieces(s.points, step) {
			from := c.Min.X + names + width*vg.Length(piece[0].X/length)
			to := c.Min.X + names + width*vg.Length(min(length, piece[len(piece)-1].X+step)/length)
			c.FillPolygon(colors[i%len(colors)], []vg.Point{{X: from, Y: y + 2}, {X: to, Y: y + 2},
				{X: to, Y: y + row - 2}, {X: from, Y: y + row - 2}})
		}
	}
}

// drawLines draws lines or stacked areas over minutes, with a legend below.
func drawLines(c canvas.Canvas, p panel, all []series, found data) error {
	shown := all[:min(len(all), entries)]
	rows := vg.Length((len(shown)+1)/2*lineHeight + 4)
	unit, stacked := p.FieldConfig.Defaults.Unit, p.FieldConfig.Defaults.Custom.Stacking.Mode != ""
	chart, step := newChart(unit, float64(found.To-found.From)/60), stepOf(all)
	drawn := all
	if stacked {
		drawn = stack(all)
	}
	for i, of := range slices.Backward(drawn) {
		for _, piece := range pieces(of.points, step) {
			line, err := plotter.NewLine(piece)
			if err != nil {
				return err
			}
			line.Color, line.Width = colors[i%len(colors)], 1.3
			if stacked {
				light := colors[i%len(colors)]
				light.R, light.G, light.B = 128+light.R/2, 128+light.G/2, 128+light.B/2
				line.FillColor = light
			}
			chart.Add(line)
		}
	}
	chart.Y.Min = 0
	if chart.Y.Max *= 1.05; chart.Y.Max <= 0 {
		chart.Y.Max = 1
	}
	chart.Draw(canvas.Crop(c, 0, -6, rows, 0))
	drawLegend(c, shown, len(all), unit, rows)
	return nil
}

// newChart returns an empty chart with axes.
func newChart(unit string, length float64) *plot.Plot {
	chart := plot.New()
	chart.Add(plotter.NewGrid())
	chart.X.Min, chart.X.Max, chart.Y.Min = 0, length, 0
	for _, style := range []*text.Style{&chart.X.Tick.Label, &chart.Y.Tick.Label, &chart.X.Label.TextStyle} {
		style.Font.Variant, style.Font.Size = "Sans", 8
	}
	chart.X.Label.Text = "minutes"
	ticks := chart.Y.Tick.Marker
	chart.Y.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick {
		all := ticks.Ticks(low, high)
		for i := range all {
			if all[i].Label != "" {
				all[i].Label = format(all[i].Value, unit)
			}
		}
		return all
	})
	return chart
}

// drawLegend draws the names of series with their highest values, in two columns.
func drawLegend(c canvas.Canvas, shown []series, total int, unit string, rows vg.Length) {
	for i, s := range shown {
		at := vg.Point{
			X: c.Min.X + (c.Max.X-c.Min.X)/2*vg.Length(i%2),
			Y: c.Min.Y + rows - 4 - lineHeight*vg.Length(1+i/2),
		}
		c.StrokeLine2(canvas.LineStyle{Color: colors[i%len(colors)], Width: 3}, at.X, at.Y+3, at.X+12, at.Y+3)
		name := cmp.Or(s.name, "value") + ", at most " + format(s.highest(), unit)
		if i == len(shown)-1 && total > len(shown) {
			name += fmt.Sprintf(" (and %d more)", total-len(shown))
		}
		column := c
		column.Max.X = at.X + (c.Max.X-c.Min.X)/2 - 6
		write(column, vg.Point{X: at.X + 16, Y: at.Y}, name, 8, black)
	}
}

// write writes a line of text, and leaves out what is too long for the canvas.
func write(c canvas.Canvas, at vg.Point, words string, size float64, shade color.Color) {
	style := text.Style{
		Color: shade, Font: font.From(plot.DefaultFont, vg.Length(size)), Handler: plot.DefaultTextHandler,
	}
	style.Font.Variant = "Sans"
	for len(words) > 4 && at.X+style.Width(words) > c.Max.X {
		words = words[:len(words)-2]
	}
	c.FillText(style, at, words)
}
