// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
)

// sample returns a report of a few scenarios, with round figures.
func sample() *Report {
	return &Report{
		Date: "2026-01-02", Controller: "mine", Version: "v1",
		Results: []Result{
			{Key: Key{Floor, 500, 4}, Seconds: 20, ClusterCPUSeconds: 40},
			{
				Key: Key{Create, 500, 4}, Seconds: 23, StatusSeconds: 23.5,
				Writes:       map[string]int{"create statefulsets": 501, "patch pods": 99},
				FailedWrites: map[string]int{"409 patch pods": 4, "422 patch pods": 2, "404 patch pods": 3},
				Reads:        map[string]int{"list pods": 2}, CPUSeconds: 2.5, ResidentMiB: 60, AnonymousMiB: 20, PeakMiB: 65,
				Passes:            ptr.To(1200.0),
				ClusterCPUSeconds: 45.5,
			},
			{Key: Key{Kill, 500, 4}, Seconds: 4, Restarts: &Restarts{Killed: 50, Restarted: 49, Again: 1}, PeakMiB: 71},
			{Key: Key{ScaleUp, 500, 4}, Seconds: 4, PeakMiB: 100},
			{Key: Key{Update, 500, 4}, Error: "it took too long"},
			{Key: Key{Create, 100, 4}, Seconds: 4, Writes: map[string]int{"create statefulsets": 101}, CPUSeconds: 0.5},
			{Key: Key{Create, 1000, 4}, Seconds: 50, Writes: map[string]int{"create statefulsets": 1010}, CPUSeconds: 7.5},
		},
	}
}

func TestFile(t *testing.T) {
	want := sample()
	file := filepath.Join(t.TempDir(), "report.json")
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTargets(t *testing.T) {
	want := []Target{
		{"create: writes", 600, 580, "", 0},
		{"create: time, of the floor's", 1.15, 1.1, "×", 0},
		{"create: CPU", 2.5, 3, "s", 2.7}, // The floor took 20 s.
		{"kill workers: groups not restarted", 1, 0, "", 0},
		{"kill workers: restarted again, or for nothing", 1, 0, "", 0},
		{"kill workers: time", 4, 10, "s", 4.32},
		{"create: writes per group, 1,000 groups to 100", 1, 1.3, "×", 0},
		{"create: CPU per group, 1,000 groups to 100", 1.5, 1.3, "×", 0},
		{"peak memory", 71, 70, "MiB", 0},
		{"conflicts and invalid writes in all scenarios", 100 * 6.0 / 1711, 1, "%", 0},
	}
	got := sample().Targets()
	if diff := cmp.Diff(want, got, cmp.Comparer(near)); diff != "" {
		t.Error(diff)
	}
	var met []bool
	for _, target := range got {
		met = append(met, target.Met())
	}
	if diff := cmp.Diff([]bool{false, false, true, false, false, true, true, false, false, true}, met); diff != "" {
		t.Error(diff)
	}
}

func TestTargetsTable(t *testing.T) {
	var text strings.Builder
	r := &Report{Results: sample().Results[:2]}
	r.WriteTargets(&text)
	const want = `
Targets, for 500 groups of 4 pods where nothing else is said

| figure                                        | at most   | measured  | reached | with a floor of 21.6 s |
|-----------------------------------------------|-----------|-----------|---------|------------------------|
| create: writes                                | 580       | 600       | no      | -                      |
| create: time, of the floor's                  | 1.10 ×    | 1.15 ×    | no      | -                      |
| create: CPU                                   | 3.00 s    | 2.50 s    | yes     | 2.70 s                 |
| peak memory                                   | 70.00 MiB | 65.00 MiB | yes     | -                      |
| conflicts and invalid writes in all scenarios | 1.00 %    | 1.00 %    | yes     | -                      |
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}

// near says that figures differ by rounding only.
func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

// TestTables compares the tables with testdata/tables.md, whose lines are too long for Go.
func TestTables(t *testing.T) {
	var text strings.Builder
	r := &Report{Results: sample().Results[:5]}
	r.Tables(&text)
	want, err := os.ReadFile(filepath.Join("testdata", "tables.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Error(diff)
	}
}

func TestRequests(t *testing.T) {
	var text strings.Builder
	r := &Report{Results: sample().Results[:2]}
	r.Requests(&text)
	if want := "501 create statefulsets, 99 patch pods"; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, text.String())
	}
}

func TestCompare(t *testing.T) {
	other := sample()
	other.Controller = "theirs"
	other.Results[1].Seconds = 46
	other.Results[1].CPUSeconds = 10
	var text strings.Builder
	(&Report{Controller: "mine", Version: "v2", Results: sample().Results[1:5]}).Compare(&text, other)
	const want = `
mine v2 to theirs v1 of 2026-01-02

| scenario              | pods s | writes | reads | CPU s | peak MiB | passes |
|-----------------------|--------|--------|-------|-------|----------|--------|
| create, 500 × 4       | 0.50   | 1.00   | 1.00  | 0.25  | 1.00     | 1.00   |
| kill workers, 500 × 4 | 1.00   | -      | -     | -     | 1.00     | -      |
| scale up, 500 × 4     | 1.00   | -      | -     | -     | 1.00     | -      |
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPlots(t *testing.T) {
	dir := t.TempDir()
	if err := sample().WritePlots(dir, 4); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "benchmark-time.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if count := strings.Count(string(svg), "<circle"); count != 6 {
		t.Errorf("%d points, want one for each of six finished results", count)
	}
	if err := (&Report{Results: sample().Results[:3]}).WritePlots(t.TempDir(), 4); err != nil {
		t.Errorf("without a line to draw: %v", err)
	}
}
