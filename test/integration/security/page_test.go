// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPage checks that the tests exist that docs/operate/security.md names, and that the page has a test in each row of
// its tables.
func TestPage(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(suite.root, "docs", "operate", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	code := testCode(t)
	name := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)(?:/([^`]+))?`")
	for _, match := range name.FindAllStringSubmatch(string(content), -1) {
		if !strings.Contains(code, "\nfunc "+match[1]+"(") {
			t.Errorf("there is no test %s", match[1])
		}
		if subtest := strings.ReplaceAll(match[2], "_", " "); !strings.Contains(code, `"`+subtest) {
			t.Errorf("%s has no subtest %q", match[1], subtest)
		}
	}
	for line := range strings.Lines(string(content)) {
		isRow := strings.HasPrefix(line, "| ") && !strings.Contains(line, "---") && !strings.HasSuffix(line, "| test |\n")
		if isRow && !name.MatchString(line) {
			t.Errorf("no test: %s", line)
		}
	}
}

// testCode returns the code of all tests of the repository's main module.
func testCode(t *testing.T) string {
	t.Helper()
	var code strings.Builder
	for _, dir := range []string{"internal", "test"} {
		err := filepath.WalkDir(filepath.Join(suite.root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			code.Write(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return code.String()
}
