// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// CompareFilm fails the test if a film differs from the golden file of that name in testdata/films. If update is true,
// CompareFilm writes the file instead.
func CompareFilm(t *testing.T, name, film string, update bool) {
	t.Helper()
	path := filepath.Join("testdata", "films", name+".txt")
	if update {
		if err := os.WriteFile(path, []byte(film), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), film); diff != "" {
		t.Errorf("the film differs from %s; to accept it, run the test with -update (-want +got):\n%s", path, diff)
	}
}

// PlayWorlds plays in that many random worlds, with seeds from 1 on. If only isn't 0, PlayWorlds plays in the world of
// that seed alone, and logs its film.
func PlayWorlds(t *testing.T, count int, only uint64, play func(t *testing.T, seed uint64) (film string)) {
	t.Helper()
	if only != 0 {
		t.Log("\n" + play(t, only))
		return
	}
	for seed := range uint64(count) { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			play(t, seed+1)
		})
	}
}
