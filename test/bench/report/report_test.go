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

// of returns the key of a scenario with groups of four.
func of(scenario string, groups int) Key { return Key{scenario, groups, 4, Unlimited} }

// sample returns a report of a few scenarios, with round figures.
func sample() *Report {
	return &Report{
		Date: "2026-01-02", Controller: "mine", Version: "v1",
		Results: []Result{
			{Key: of(Floor, 500), Seconds: 20, ClusterCPUSeconds: 40},
			{
				Key: of(Create, 500), Seconds: 23, StatusSeconds: 23.5,
				Writes:       map[string]int{"create statefulsets": 501, "patch pods": 99},
				FailedWrites: map[string]int{"409 patch pods": 4, "422 patch pods": 2, "404 patch pods": 3},
				Reads:        map[string]int{"list pods": 2}, CPUSeconds: 2.5, ResidentMiB: 60, AnonymousMiB: 20, PeakMiB: 65,
				Passes:            ptr.To(1200.0),
				ClusterCPUSeconds: 45.5,
			},
			{Key: of(Kill, 500), Seconds: 4, Restarts: &Restarts{Killed: 50, Restarted: 49, Again: 1}, PeakMiB: 71},
			{Key: of(ScaleUp, 500), Seconds: 4, PeakMiB: 100},
			{Key: of(Update, 500), Error: "it took too long"},
			{Key: of(Create, 100), Seconds: 4, Writes: map[string]int{"create statefulsets": 101}, CPUSeconds: 0.5},
			{Key: of(Create, 1000), Seconds: 50, Writes: map[string]int{"create statefulsets": 1010}, CPUSeconds: 7.5},
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

| scenario                         | pods s | writes | reads | CPU s | peak MiB | passes |
|----------------------------------|--------|--------|-------|-------|----------|--------|
| create, 500 × 4, unlimited       | 0.50   | 1.00   | 1.00  | 0.25  | 1.00     | 1.00   |
| kill workers, 500 × 4, unlimited | 1.00   | -      | -     | -     | 1.00     | -      |
| scale up, 500 × 4, unlimited     | 1.00   | -      | -     | -     | 1.00     | -      |
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}

func TestReadsReportsWithoutProfiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	const earlier = `{"results": [{"scenario": "create", "groups": 500, "size": 4, "seconds": 2}]}`
	if err := os.WriteFile(file, []byte(earlier), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Find(of(Create, 500)) == nil {
		t.Errorf("read as %+v", r.Results)
	}
}

func TestMedians(t *testing.T) {
	key := of(Kill, 500)
	run := func(seconds float64, writes int, again int) Result {
		return Result{
			Key: key, Seconds: seconds, CPUSeconds: seconds / 10, Passes: ptr.To(seconds),
			Writes: map[string]int{"patch pods": writes}, FewestReady: ptr.To(writes),
			Restarts:        &Restarts{Killed: 50, Restarted: 50 - again, Again: again},
			ClusterRequests: map[string]map[string]int{Nodes: {"delete pods": writes}},
		}
	}
	runs := []Result{run(3, 10, 0), run(1, 30, 2), run(2, 20, 1)}
	want := Result{
		Key: key, Seconds: 2, CPUSeconds: 0.2, Passes: ptr.To(2.0), Writes: map[string]int{"patch pods": 20},
		FewestReady: ptr.To(10), Restarts: &Restarts{Killed: 50, Restarted: 48, Again: 2},
		ClusterRequests: map[string]map[string]int{Nodes: {"delete pods": 20}},
		Runs:            3, Fastest: 1, Slowest: 3,
	}
	unfinished := Result{Key: of(Update, 500), Error: "it took too long"}
	r := &Report{Results: append(runs, Result{Key: unfinished.Key, Seconds: 1}, unfinished)}
	if diff := cmp.Diff([]Result{want, unfinished}, r.Medians().Results); diff != "" {
		t.Error(diff)
	}
	if len(r.Results) != 5 {
		t.Error("the runs are lost")
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{5}, 5}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := median(test.values); got != test.want {
			t.Errorf("%v: %v, want %v", test.values, got, test.want)
		}
	}
}

func TestClusterRequests(t *testing.T) {
	requests := map[string]map[string]int{
		Operator:         {"delete pods": 8, "patch leaderworkersets/status": 3},
		GarbageCollector: {"get pods": 2, "delete statefulsets": 2},
		Scheduler:        {"create pods/binding": 8},
	}
	r := &Report{Results: []Result{
		{Key: Key{Update, 2, 4, Defaults}, ClusterRequests: requests}, {Key: Key{Create, 2, 4, Defaults}},
	}}
	var text strings.Builder
	r.ClusterRequests(&text)
	want, err := os.ReadFile(filepath.Join("testdata", "requests.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPublish(t *testing.T) {
	document := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Page\n\n<!-- summary: begin -->\nearlier\n<!-- summary: end -->\n\nrest\n")
	failing := Key{RecoveryCreate, 1, 128, Defaults}
	r := &Report{
		Controller: "mine", Version: "v2", Kubernetes: "v1", Go: "go1", Machine: "linux", Cores: 2, MemoryGiB: 4,
		Date: "today",
		Results: []Result{
			{Key: of(Update, 100), Error: "it took too long"},
			{Key: failing, Seconds: 6, Runs: 3},
			{Key: Key{Recovery, 1, 128, Defaults}, Seconds: 9, MarkedSeconds: 0.6, CPUSeconds: 0.5,
				Runs: 3, Fastest: 8, Slowest: 9.5},
		},
	}
	other := &Report{
		Controller: "theirs", Version: "v3", Kubernetes: "v1", Go: "go1", Machine: "linux", Cores: 2, MemoryGiB: 4,
		Date: "yesterday",
		Results: []Result{
			{Key: Key{Recovery, 1, 128, Defaults}, Seconds: 12, MarkedSeconds: 1, CPUSeconds: 0.75, Runs: 1},
			{Key: of(Update, 100), Error: "it took too long"},
		},
	}
	for range 2 { // The second time changes nothing.
		if err := r.Publish(document, other); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", "summary.md"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Error(diff)
		}
	}
	write("# Page\n")
	if err := r.Publish(document, nil); err == nil {
		t.Error("no error for a page without a place for the summary")
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
