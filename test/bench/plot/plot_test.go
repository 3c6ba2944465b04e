// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAxis(t *testing.T) {
	for _, test := range []struct {
		largest float64
		want    []float64
	}{
		{0, []float64{0, 1}},
		{5, []float64{0, 1, 2, 3, 4, 5}},
		{37, []float64{0, 10, 20, 30, 40}},
		{1000, []float64{0, 200, 400, 600, 800, 1000}},
		{1001, []float64{0, 500, 1000, 1500}},
		{2.6, []float64{0, 1, 2, 3}},
		{0.25, []float64{0, 0.05, 0.1, 0.15, 0.2, 0.25}},
	} {
		a := newAxis(test.largest, 100, 200)
		got := a.values()
		if len(got) != len(test.want) {
			t.Errorf("the axis up to %v has %v, want %v", test.largest, got, test.want)
			continue
		}
		for i := range got {
			if number(got[i]) != number(test.want[i]) {
				t.Errorf("the axis up to %v has %v, want %v", test.largest, got, test.want)
			}
		}
		if first, last := a.at(0), a.at(got[len(got)-1]); first != 100 || number(last) != "200" {
			t.Errorf("the axis up to %v reaches from pixel %v to %v", test.largest, first, last)
		}
	}
}

func TestSVG(t *testing.T) {
	svg := Chart{
		Title: "Cost < benefit", X: "groups", Y: "seconds",
		Lines: []Line{
			{Name: "create", Points: []Point{{1000, 50}, {500, 25}}},
			{Name: "nothing"},
		},
	}.SVG()
	// The x axis has 480 pixels for 1,000 groups, from pixel 70. The y axis has 330 pixels for 50 seconds, up from pixel
	// 370. Points are sorted by x.
	if !strings.Contains(svg, `points="310.0,205.0 550.0,40.0"`) {
		t.Errorf("want the line at other pixels:\n%s", svg)
	}
	if diff := cmp.Diff([]string{"Cost < benefit", "create", "groups", "nothing", "seconds"}, words(t, svg)); diff != "" {
		t.Error(diff)
	}
}

// TestRanges looks at the ends of a range. The axis has 500 pixels for 10 seconds, from pixel 190.
func TestRanges(t *testing.T) {
	svg := Ranges{
		Title: "Cost < benefit", X: "seconds", From: "least", To: "most", Rows: []Range{{"create", 2, 10}},
	}.SVG()
	if !strings.Contains(svg, `d="M290.0 51.0 H690.0"`) {
		t.Errorf("want the range at other pixels:\n%s", svg)
	}
	if diff := cmp.Diff([]string{"Cost < benefit", "create", "seconds"}, words(t, svg)); diff != "" {
		t.Error(diff)
	}
}

// words returns which of the chart's names the SVG contains: the title, the names of the axes and those of the lines.
func words(t *testing.T, svg string) []string {
	t.Helper()
	found := map[string]bool{}
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok {
			found[strings.TrimSpace(string(data))] = true
		}
	}
	var names []string
	for _, name := range []string{"Cost < benefit", "create", "groups", "nothing", "seconds"} {
		if found[name] {
			names = append(names, name)
		}
	}
	return names
}
