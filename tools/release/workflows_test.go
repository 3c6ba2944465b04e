// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestWorkflows checks that the workflows only call targets of make that exist. What they do can then be done on any
// machine.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	targets := makeTargets(t)
	files, err := filepath.Glob("../../.github/workflows/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d workflows: %v", len(files), err)
	}
	for _, file := range files {
		for _, command := range commands(t, file) {
			words := strings.Fields(command)
			if len(words) < 2 || words[0] != "make" {
				t.Errorf("%s: %q isn't a target of make", file, command)
				continue
			}
			for _, target := range words[1:] {
				if !slices.Contains(targets, target) {
					t.Errorf("%s: the Makefile has no target %q", file, target)
				}
			}
		}
	}
}

// makeTargets returns the phony targets of the Makefile.
func makeTargets(t *testing.T) []string {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, match := range regexp.MustCompile(`(?m)^\.PHONY: (.+)$`).FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, strings.Fields(match[1])...)
	}
	return targets
}

// commands returns the commands of a workflow. Where a command names the target of a matrix, there is one for each.
func commands(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Jobs map[string]struct {
			Strategy struct{ Matrix struct{ Target []string } }
			Steps    []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var found []string
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			const target = "${{ matrix.target }}"
			switch {
			case step.Run == "":
			case strings.Contains(step.Run, target):
				for _, name := range job.Strategy.Matrix.Target {
					found = append(found, strings.ReplaceAll(step.Run, target, name))
				}
			default:
				found = append(found, step.Run)
			}
		}
	}
	return found
}

// TestChangelog checks that the changes of the version that is prepared, and of all released versions, are described.
func TestChangelog(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^VERSION \?= (.+)$`).FindSubmatch(makefile)
	if version == nil {
		t.Fatal("the Makefile has no VERSION")
	}
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{string(version[1])}
	released, err := filepath.Glob("../../releases/*/manifests")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range released {
		want = append(want, filepath.Base(filepath.Dir(dir)))
	}
	for _, version := range want {
		if !strings.Contains(string(changelog), "\n## "+version+"\n") {
			t.Errorf("CHANGELOG.md says nothing about %s", version)
		}
	}
}
