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
