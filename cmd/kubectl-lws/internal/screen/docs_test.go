// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs checks that the screens of the documentation are those of the golden files.
func TestDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "reference", "kubectl-lws.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"status-rolling", "why-rolling", "status-broken", "why-crash", "status-500"} {
		golden, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "\n"+string(golden)+"```\n") {
			t.Errorf("docs/reference/kubectl-lws.md doesn't have the screen of testdata/%s.txt", name)
		}
	}
}
