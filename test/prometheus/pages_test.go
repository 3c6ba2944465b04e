// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// documented are the metrics of the generated page.
var documented = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` ")

// ofOthers are the metrics of the API server, of controller-runtime and of client-go that rules read.
var ofOthers = []string{
	"apiserver_admission_webhook_admission_duration_seconds",
	"apiserver_admission_webhook_rejection_count",
	"controller_runtime_reconcile_errors_total",
	"controller_runtime_reconcile_total",
	"leader_election_master_status",
}

// headings are those of every runbook, in their order.
var headings = []string{"Meaning", "Impact", "Diagnosis", "Mitigation", "Verify"}

// TestRunbooks checks that each alert has a runbook, and that each runbook has its alert.
func TestRunbooks(t *testing.T) {
	const pages = "https://github.com/leaderworkerset/lws-operator/blob/main/"
	var want []string
	for _, rule := range allRules(t) {
		if rule.Alert == "" {
			continue
		}
		page, ok := strings.CutPrefix(rule.Annotations["runbook_url"], pages)
		if !ok || filepath.Base(page) != rule.Alert+".md" {
			t.Errorf("%s has the runbook %s", rule.Alert, rule.Annotations["runbook_url"])
			continue
		}
		want = append(want, filepath.Base(page))
		checkHeadings(t, rule.Alert, filepath.Join("..", "..", page))
	}
	entries, err := os.ReadDir("../../docs/operate/runbooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains(want, entry.Name()) {
			t.Errorf("no alert has the runbook %s", entry.Name())
		}
	}
}

func checkHeadings(t *testing.T, alert, page string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Error(err)
		return
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			got = append(got, strings.TrimSpace(heading))
		}
	}
	if !slices.Equal(got, headings) || !strings.HasPrefix(string(text), "# "+alert+"\n") {
		t.Errorf("the headings of %s are %q, want %q", page, got, headings)
	}
}

// TestRulesReadMetricsThatExist compares what rules read with the page of the metrics, which is made from the code.
func TestRulesReadMetricsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := slices.Clone(ofOthers)
	for _, metric := range documented.FindAllSubmatch(page, -1) {
		known = append(known, string(metric[1]))
	}
	all := allRules(t)
	for _, rule := range all {
		known = append(known, rule.Record)
	}
	for _, rule := range all {
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, matchers := range parser.ExtractSelectors(expression) {
			if name := strings.TrimSuffix(nameOf(matchers), "_bucket"); !slices.Contains(known, name) {
				t.Errorf("%s%s reads the unknown metric %q", rule.Alert, rule.Record, name)
			}
		}
	}
}

// nameOf returns the name of the metric that a selector has.
func nameOf(matchers []*labels.Matcher) string {
	for _, matcher := range matchers {
		if matcher.Name == model.MetricNameLabel {
			return matcher.Value
		}
	}
	return ""
}

// allRules returns the rules in their order.
func allRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	file, errs := rulefmt.ParseFile(ruleFile(t), false, model.UTF8Validation, parser.NewParser(parser.Options{}),
		promslog.NewNopLogger())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []rulefmt.Rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}
