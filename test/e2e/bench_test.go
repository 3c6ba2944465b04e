// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
)

// TestLocalBench runs the benchmark with three small groups in a cluster of its own. The benchmark ends, and its report
// counts writes, CPU time and restarts.
func TestLocalBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bench := exec.CommandContext(t.Context(), "go", "run", "./test/bench",
		"-groups=3", "-size=2", "-scenarios=sequence", "-idle=200ms", "-rest=500ms", "-timeout=2m", "-out="+dir)
	bench.Dir = suite.root
	bench.Stdout, bench.Stderr = t.Output(), t.Output()
	if err := bench.Run(); err != nil {
		t.Fatal(err)
	}
	found, err := report.Read(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []string
	writes := map[string]bool{}
	for i := range found.Results {
		result := &found.Results[i]
		scenarios = append(scenarios, result.Scenario)
		if result.Error != "" {
			t.Errorf("%s: %s", result.Scenario, result.Error)
		}
		writes[result.Scenario] = report.Sum(result.Writes) > 0
	}
	want := []string{
		report.Floor, report.UpdateFloor, report.Create, report.Idle, report.Kill, report.Update, report.Restart,
		report.ScaleUp, report.ScaleDown, report.Delete,
	}
	if diff := cmp.Diff(want, scenarios); diff != "" {
		t.Errorf("scenarios: %s", diff)
	}
	for _, scenario := range []string{report.Floor, report.Create} {
		result := found.Find(report.Key{Scenario: scenario, Groups: 3, Size: 2, Profile: report.Unlimited})
		if result == nil || result.ClusterCPUSeconds <= 0 {
			t.Errorf("%s: no CPU time of the cluster: %+v", scenario, result)
		}
	}
	if !writes[report.Create] || !writes[report.Update] || writes[report.Floor] {
		t.Errorf("writes were counted for %v", writes)
	}
	kill := found.Find(report.Key{Scenario: report.Kill, Groups: 3, Size: 2, Profile: report.Unlimited})
	if kill == nil || kill.Restarts == nil || kill.Restarts.Restarted != 1 {
		t.Errorf("want one restarted group, got %+v", kill)
	}
}
