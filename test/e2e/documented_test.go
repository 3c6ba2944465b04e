// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/pages"
)

// TestLocalQuickstart runs the kubectl commands of docs/quickstart.md in their order on the sample, as a reader does.
// Those that watch don't end, and are left out.
func TestLocalQuickstart(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := sample(t)
	lws.Namespace = namespace
	create(t, lws)
	untilAvailable(t, lws)
	kubeconfig := kubeconfigIn(t, namespace)
	for _, command := range commandsOf(t, "docs/quickstart.md") {
		if !strings.HasPrefix(command, "kubectl ") || strings.Contains(command, "--watch") {
			continue
		}
		if strings.HasPrefix(command, "kubectl delete pod") {
			untilAvailable(t, lws) // The reader has seen the rolling update end.
		}
		if _, err := shell(t.Context(), kubeconfig, command); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) error {
		events, err := shell(ctx, kubeconfig, "kubectl get events --field-selector reason=RecreateGroup")
		if err != nil {
			return err
		}
		return unless(strings.Contains(events, "Recreating group 1: "), "no restart is reported:\n%s", events)
	})
	untilAvailable(t, lws)
}

// aboutSets finds commands that look at sets, or scale the set llama, which the pages take as their example.
var aboutSets = regexp.MustCompile(`^kubectl (?:get|describe|events|wait|scale)\b.*(?: lws(?:[ /]|$)|llama)`)

// elsewhere finds commands that other tests run, that need what isn't there, or that don't end.
var elsewhere = regexp.MustCompile(
	`leaderworkerset-sample|llama-54475854d9-1|lws gang|wait lws --all|--watch|[|>] ?\w+`)

// TestLocalDocumentedCommands runs the commands of all pages that look at sets, on a set of the name that they use.
func TestLocalDocumentedCommands(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "llama", 2, 4)
	create(t, lws)
	untilAvailable(t, lws)
	kubeconfig := kubeconfigIn(t, namespace)
	all, err := pages.All(suite.root)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range all {
		if strings.HasPrefix(page.Path, "examples/") {
			continue // TestLocalExamples applies what they look at.
		}
		for _, command := range commandsIn(page) {
			command = strings.ReplaceAll(command, "<namespace>", namespace)
			if !aboutSets.MatchString(command) || elsewhere.MatchString(command) {
				continue
			}
			found++
			if _, err := shell(t.Context(), kubeconfig, command); err != nil {
				t.Errorf("%s: %v", page.Path, err)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d commands", found)
	}
}

// commandsOf returns the commands in the console blocks of the page with a path.
func commandsOf(t *testing.T, path string) []string {
	t.Helper()
	all, err := pages.All(suite.root)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(page pages.Page) bool { return page.Path == path })
	if i < 0 {
		t.Fatalf("there is no page %s", path)
	}
	return commandsIn(all[i])
}

// prompted finds commands in console blocks, with their further lines.
var prompted = regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)$`)

// commandsIn returns the commands in the console blocks of a page.
func commandsIn(page pages.Page) []string {
	var commands []string
	for _, block := range page.Blocks {
		if block.Language != "console" {
			continue
		}
		for _, found := range prompted.FindAllStringSubmatch(block.Text, -1) {
			commands = append(commands, found[1])
		}
	}
	return commands
}
