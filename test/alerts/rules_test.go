// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

func TestShorten(t *testing.T) {
	for _, tc := range []struct{ rules, want string }{
		{`{"for":"15m"}`, `{"for":"15s"}`},
		{`{"keep_firing_for":"20m"}`, `{"keep_firing_for":"20s"}`},
		{`rate(a[10m]) / rate(b[1h])`, `rate(a[10s]) / rate(b[1m])`},
		{`a offset 30m`, `a offset 30s`},
		{`time() - a > 3600`, `time() - a > 3600`},
		{`fired for 15m`, `fired for 15m`},
	} {
		if got := string(shorten([]byte(tc.rules))); got != tc.want {
			t.Errorf("%s becomes %s, want %s", tc.rules, got, tc.want)
		}
	}
}

// TestFaults checks that each alert of config/prometheus has a fault.
func TestFaults(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(root + "/config/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]bool{}
	for _, f := range append(faultsOfSets(), faultsOfOperator()...) {
		faults[f.alert] = true
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(text, -1)
	for _, match := range alerts {
		if !faults[string(match[1])] {
			t.Errorf("no fault makes %s fire", match[1])
		}
	}
	if len(alerts) != len(faults) {
		t.Errorf("there are %d alerts and %d faults", len(alerts), len(faults))
	}
}
