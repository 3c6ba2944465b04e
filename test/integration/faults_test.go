// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// faultsInOrder are the sets of docs/operate/troubleshooting.md, in the order of kubectl. The package status writes
// their golden statuses.
var faultsInOrder = []string{"bad-image", "gated", "no-node", "out-of-memory", "over-quota", "recreated"}

// ages are the ages that kubectl prints.
var ages = regexp.MustCompile(` \d+[smh](\d+s)? `)

// TestCommonestFaults checks that docs/operate/troubleshooting.md shows what kubectl prints of sets with the commonest
// faults.
func TestCommonestFaults(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	text, err := os.ReadFile("../../docs/operate/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, name := range faultsInOrder {
		lws := read(t, create(t, namespace, name, `{replicas: 2, leaderWorkerTemplate: {size: 4}}`))
		golden, err := os.ReadFile(filepath.Join("testdata", "faults", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{}
		if err := yaml.Unmarshal(golden, &lws.Status); err != nil {
			t.Fatal(err)
		}
		if err := suite.client.Status().Update(t.Context(), lws); err != nil {
			t.Fatal(err)
		}
		described := mustKubectl(t, "describe", "lws", name, "--namespace", namespace)
		wantShown(t, page, between(described, "  Unready Groups:\n", "  Update Revision:"))
		wantShown(t, page, failureOf(described))
	}
	rows := mustKubectl(t, "get", "lws", "--namespace", namespace, "--output", "wide")
	for row := range strings.Lines(rows) {
		wantShown(t, page, row)
	}
}

// wantShown checks that a page shows lines that kubectl has printed, whatever their ages and their alignment.
func wantShown(t *testing.T, page, printed string) {
	t.Helper()
	inOneLine := func(text string) string { return unwrapped(ages.ReplaceAllString(text, " 5m ")) }
	if !strings.Contains(inOneLine(page), inOneLine(printed)) {
		t.Errorf("docs/operate/troubleshooting.md doesn't show:\n%s", printed)
	}
}

// failureOf returns the condition ReplicaFailure of a described set; empty if there is none.
func failureOf(described string) string {
	conditions := between(described, "  Conditions:\n", "  Hpa Pod Selector:")
	for condition := range strings.SplitSeq(conditions, "    Last Transition") {
		_, message, found := strings.Cut(condition, "    Message:")
		if found && strings.Contains(condition, leaderworkersetv1.ConditionReplicaFailure) {
			return "    Message:" + message
		}
	}
	return ""
}

// between returns the text from the beginning of one part to that of the next one.
func between(text, begin, end string) string {
	_, after, _ := strings.Cut(text, begin)
	part, _, _ := strings.Cut(after, end)
	return begin + part
}
