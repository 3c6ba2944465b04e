// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..")

func all(t *testing.T) []Page {
	t.Helper()
	pages, err := All(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 40 {
		t.Fatalf("only %d pages", len(pages))
	}
	return pages
}

var hasScheme = regexp.MustCompile(`^[a-z]+:`)

// TestLinks checks that each relative link of a page leads to a file, and to a heading if it has an anchor.
func TestLinks(t *testing.T) {
	pages := map[string]Page{}
	for _, page := range all(t) {
		pages[page.Path] = page
	}
	for _, page := range pages {
		for _, link := range page.Links {
			if hasScheme.MatchString(link) {
				continue
			}
			file, anchor, hasAnchor := strings.Cut(link, "#")
			target := page.Path
			if file != "" {
				target = path.Join(path.Dir(page.Path), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page.Path, link)
			} else if hasAnchor && !pages[target].Anchors[anchor] {
				t.Errorf("%s: the link %s leads to no heading", page.Path, link)
			}
		}
	}
}

// mention is a page that any file of the repository names, such as a comment or an alert's runbook_url.
var mention = regexp.MustCompile(`(?:^|[^\w/.-])(?:https://github\.com/leaderworkerset/lws-operator/blob/main/)?` +
	`(docs/[\w/.-]+\.(?:md|svg|png))(#[\w-]+)?`)

// frozen are files of a released version. They name its pages.
var frozen = regexp.MustCompile(`^catalog/.*/lws-operator\.v0\.1\.0\.yaml$`)

// TestMentions checks that the pages exist that files of the repository name.
func TestMentions(t *testing.T) {
	pages := map[string]Page{}
	for _, page := range all(t) {
		pages[page.Path] = page
	}
	found := 0
	err := Walk(root, func(file, text string) error {
		if frozen.MatchString(file) {
			return nil
		}
		for _, named := range mention.FindAllStringSubmatch(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, named[1])); err != nil {
				t.Errorf("%s names %s, which doesn't exist", file, named[1])
			} else if named[2] != "" && !pages[named[1]].Anchors[named[2][1:]] {
				t.Errorf("%s names %s, which has no heading %s", file, named[1], named[2])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("only %d mentions", found)
	}
}

var (
	pageOfIndex = regexp.MustCompile(`^docs/[^/]+/[^/]+\.md$`)
	generated   = regexp.MustCompile(`^docs/operate/runbooks/`)
)

// TestIndex checks that docs/README.md leads to each page, except the runbooks, to which alerts lead.
func TestIndex(t *testing.T) {
	linked := map[string]bool{}
	var wanted []string
	for _, page := range all(t) {
		if page.Path == "docs/README.md" {
			for _, link := range page.Links {
				file, _, _ := strings.Cut(link, "#")
				linked[path.Join("docs", file)] = true
			}
		}
		if pageOfIndex.MatchString(page.Path) && !generated.MatchString(page.Path) {
			wanted = append(wanted, page.Path)
		}
	}
	for _, page := range wanted {
		if !linked[page] {
			t.Errorf("docs/README.md doesn't lead to %s", page)
		}
	}
}

// TestReadmeIsShort checks that readers see what the operator is before they scroll for long.
func TestReadmeIsShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 120 {
		t.Errorf("README.md has %d lines, more than 120", lines)
	}
}

func TestAnchor(t *testing.T) {
	for heading, want := range map[string]string{
		"What counts as a failure":     "what-counts-as-a-failure",
		"OLM v0: a Subscription":       "olm-v0-a-subscription",
		"`kubectl lws`, a [plugin](x)": "kubectl-lws-a-plugin",
		"Removing, keeping workloads":  "removing-keeping-workloads",
	} {
		if got := anchor(heading); got != want {
			t.Errorf("the anchor of %q is %q, want %q", heading, got, want)
		}
	}
}
