// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package pages reads the documentation for tests: its links, headings and code blocks.
package pages

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Page is a Markdown file of the repository.
type Page struct {
	// Path is relative to the root of the repository, with slashes.
	Path string

	// Links are the targets of links and images, as they are written.
	Links []string

	// Anchors are the names by which links reach the headings.
	Anchors map[string]bool

	Blocks []Block
}

// Block is a block of code.
type Block struct {
	// Language is the word after the fence, such as yaml or console; empty without one.
	Language, Text string

	// Line is the line of the fence, from 1 on.
	Line int
}

// skipped are folders without pages of this version: what make built, git's files, and releases, which never change.
var skipped = []string{"bin", "dist", ".git", "releases", "testdata"}

// All returns the pages below the root of the repository.
func All(root string) ([]Page, error) {
	var all []Page
	err := Walk(root, func(path, text string) error {
		if strings.HasSuffix(path, ".md") {
			all = append(all, read(path, text))
		}
		return nil
	})
	return all, err
}

// Walk calls a function with the path and the content of each file that people write.
func Walk(root string, visit func(path, text string) error) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && slices.Contains(skipped, entry.Name()) {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(relative), string(content))
	})
}

var (
	inline    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	reference = regexp.MustCompile(`(?m)^\[[^\]]+\]: +(\S+)$`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	code      = regexp.MustCompile("`[^`\n]*`")
)

// read returns a page from its text.
func read(path, text string) Page {
	page := Page{Path: path, Anchors: map[string]bool{}}
	prose := page.takeBlocks(text)
	for _, found := range heading.FindAllStringSubmatch(prose, -1) {
		page.addAnchor(anchor(found[1]))
	}
	prose = code.ReplaceAllString(prose, "")
	for _, form := range []*regexp.Regexp{inline, reference} {
		for _, found := range form.FindAllStringSubmatch(prose, -1) {
			page.Links = append(page.Links, found[1])
		}
	}
	return page
}

// takeBlocks adds the blocks of a text, and returns the text without them.
func (p *Page) takeBlocks(text string) string {
	var prose strings.Builder
	var open *Block
	number := 0
	for line := range strings.Lines(text) {
		number++
		trimmed := strings.TrimSpace(line)
		switch {
		case open == nil && strings.HasPrefix(trimmed, "```"):
			open = &Block{Language: strings.TrimPrefix(trimmed, "```"), Line: number}
		case open == nil:
			prose.WriteString(line)
		case trimmed == "```":
			p.Blocks = append(p.Blocks, *open)
			open = nil
		default:
			open.Text += line
		}
	}
	return prose.String()
}

// addAnchor adds an anchor. Of equal ones, the second gets the suffix -1, and so on.
func (p *Page) addAnchor(name string) {
	unique := name
	for i := 1; p.Anchors[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	p.Anchors[unique] = true
}

var (
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// anchor returns the name by which GitHub lets links reach a heading.
func anchor(heading string) string {
	words := linked.ReplaceAllString(heading, "$1")
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(words)), ""), " ", "-")
}
