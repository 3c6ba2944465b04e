// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	r := Report{Seed: 7, Duration: 2 * time.Minute, Rounds: []Round{
		{"quota", 4 * time.Second, 3}, {"none", time.Second, 1}, {"quota", 2 * time.Second, 0}, {"quota", 9 * time.Second, 2},
	}}
	want := `Seed 7, 4 rounds in 2 minutes.

| fault | rounds | groups affected | healed after, p50 | worst |
| --- | ---: | ---: | ---: | ---: |
| none | 1 | 1 | 1.0 s | 1.0 s |
| quota | 3 | 5 | 4.0 s | 9.0 s |
`
	if diff := cmp.Diff(want, r.Markdown()); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
	document := filepath.Join(t.TempDir(), "chaos.md")
	page := "# Page\n\n<!-- summary: begin -->\n%s<!-- summary: end -->\n"
	if err := os.WriteFile(document, fmt.Appendf(nil, page, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(document); err != nil {
		t.Fatal(err)
	}
	published, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprintf(page, "\n"+want+"\n"), string(published)); diff != "" {
		t.Errorf("the page differs (-want +got):\n%s", diff)
	}
	svg := r.SVG()
	for _, name := range []string{"Time to heal after a fault", ">none<", ">quota<", ">p50<", ">worst<"} {
		if !strings.Contains(svg, name) {
			t.Errorf("the chart lacks %s:\n%s", name, svg)
		}
	}
}
