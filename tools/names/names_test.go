// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestPages checks that each page has names of both kinds, with the values of names that comments mention.
func TestPages(t *testing.T) {
	blocks := map[string][]block{}
	for _, of := range kinds {
		found, err := read("../../api/" + of.folder)
		if err != nil {
			t.Fatal(err)
		}
		blocks[of.name] = found
	}
	for i, rows := range [][]string{
		{
			"| `leaderworkerset.sigs.k8s.io/worker-index` | is on pods.",
			"| `LWS_LEADER_ADDRESS` | is the DNS name of the leader: `<leader pod>.<subdomain>.<namespace>`. |",
			"| `disaggregatedset.x-k8s.io/role` | has the name of the role as its value. |",
		},
		{
			"| `Stalled` | is True while `Degraded` is,", "| `Missing` | means that", "| `ScalerConflict` | warns that",
		},
	} {
		text := pages[i].write(blocks)
		for _, row := range rows {
			if !strings.Contains(text, row) {
				t.Errorf("%s lacks %q", pages[i].file, row)
			}
		}
	}
}
