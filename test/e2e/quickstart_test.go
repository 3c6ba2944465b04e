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

// commandsOf returns the commands in the console blocks of a page.
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
	var commands []string
	for _, block := range all[i].Blocks {
		if block.Language != "console" {
			continue
		}
		for _, found := range regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)$`).FindAllStringSubmatch(block.Text, -1) {
			commands = append(commands, found[1])
		}
	}
	return commands
}
