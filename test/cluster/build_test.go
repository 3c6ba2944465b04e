// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSecondBuildDoesNothing(t *testing.T) {
	programsFor(t)
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := Build(t.Context(), root, &out); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("built again: %s", &out)
	}
}

func TestSourceStamp(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp, err := sourceStamp(t.Context(), dir)
		if err != nil {
			stamp = ""
		}
		return stamp
	}
	if stamp := write("go.mod", "module example.com/m\n"); stamp != "" {
		t.Errorf("a stamp without go.sum: %s", stamp)
	}
	stamps := map[string]bool{
		write("go.sum", ""):              true,
		write("main.go", "package main"): true,
		write("main.go", "package m"):    true,
		write("go.sum", "x"):             true,
	}
	if len(stamps) != 4 || stamps[""] {
		t.Errorf("the stamps of four different sources: %v", stamps)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.expect([]string{"example.com/a", "example.com/b"})
	for line, want := range map[string]string{
		"go: downloading example.com/m v1.0.0": "downloading example.com/m v1.0.0",
		"example.com/b":                        "compiling 1 of 2 packages: example.com/b",
		"# example.com/a":                      "",
		"a.go:1:1: expected 'package'":         "",
	} {
		if message := p.message(line); message != want {
			t.Errorf("%q gives %q, want %q", line, message, want)
		}
	}
	p.report("too early")
	p.last = p.last.Add(-reportInterval - time.Second)
	p.report("in time")
	p.report("too early again")
	p.close()
	if got, want := out.String(), "in time\n"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}
