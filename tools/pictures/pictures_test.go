// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"gonum.org/v1/plot/plotter"
)

// TestDraw draws each dashboard with one series in each panel, and without data.
func TestDraw(t *testing.T) {
	files, err := filepath.Glob("../../config/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards: ", err)
	}
	for _, file := range files {
		var board dashboard
		if err := read(file, &board); err != nil {
			t.Fatal(err)
		}
		full := data{From: 0, To: 600, Panels: map[int][][]result{}}
		for _, p := range board.Panels {
			for range p.Targets {
				full.Panels[p.ID] = append(full.Panels[p.ID], []result{{
					Metric: map[string]string{"namespace": "ml"},
					Values: [][2]any{{0.0, "1"}, {60.0, "2"}, {300.0, "NaN"}, {600.0, "3"}},
				}})
			}
		}
		empty := data{From: 0, To: 600, Panels: map[int][][]result{}}
		for _, p := range board.Panels {
			empty.Panels[p.ID] = make([][]result, len(p.Targets))
		}
		for _, found := range []data{full, empty} {
			picture := filepath.Join(t.TempDir(), "picture.png")
			if err := draw(board, found, picture); err != nil {
				t.Fatal(err)
			}
			drawn, err := os.Open(picture)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := png.Decode(drawn); err != nil {
				t.Error(err)
			}
			_ = drawn.Close()
		}
	}
}

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		value float64
		unit  string
		want  string
	}{
		{3, "", "3"}, {0.25, "", "0.25"}, {0.5, "percentunit", "50%"}, {64 << 20, "bytes", "64 MiB"},
		{0.005, "s", "5 ms"}, {0, "s", "0 s"}, {90, "s", "90 s"}, {600, "s", "10 min"}, {90 * 24 * 3600, "s", "90 days"},
		{1.5, "ops", "1.5 ops/s"}, {2, "reqps", "2 req/s"},
	} {
		if got := format(tc.value, tc.unit); got != tc.want {
			t.Errorf("%g %s is %s, want %s", tc.value, tc.unit, got, tc.want)
		}
	}
}

func TestStack(t *testing.T) {
	stacked := stack([]series{
		{name: "a", points: plotter.XYs{{X: 0, Y: 1}, {X: 1, Y: 2}}}, {name: "b", points: plotter.XYs{{X: 1, Y: 3}}},
	})
	if got := stacked[1].points; len(got) != 2 || got[0].Y != 1 || got[1].Y != 5 {
		t.Errorf("the upper line is %v", got)
	}
}

func TestPieces(t *testing.T) {
	if got := pieces(plotter.XYs{{X: 0}, {X: 1}, {X: 3}}, 1); len(got) != 2 || len(got[0]) != 2 {
		t.Errorf("the pieces are %v", got)
	}
}
