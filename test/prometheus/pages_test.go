// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"maps"
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

// documented are the metrics of the generated page, and the column with their labels. quoted is one of the labels.
var (
	documented = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| [a-z]+ \\| (.*?) \\|")
	quoted     = regexp.MustCompile("`([a-z_]+)`")
)

// ofOthers are the metrics of the API server, of controller-runtime and of client-go that rules and dashboards read,
// with their labels. TestLocalMetricsOfDashboards in test/e2e looks for those of the operator's process at a running
// operator, and test/chaos reads the metric of the election.
var ofOthers = map[string][]string{
	"apiserver_admission_webhook_admission_duration_seconds": {"name", "type", "operation", "rejected"},
	"apiserver_admission_webhook_rejection_count":            {"name", "type", "operation", "error_type"},
	"controller_runtime_active_workers":                      {"controller"},
	"controller_runtime_max_concurrent_reconciles":           {"controller"},
	"controller_runtime_reconcile_errors_total":              {"controller"},
	"controller_runtime_reconcile_time_seconds":              {"controller"},
	"controller_runtime_reconcile_total":                     {"controller", "result"},
	"controller_runtime_webhook_latency_seconds":             {"webhook"},
	"controller_runtime_webhook_requests_total":              {"webhook", "code"},
	"leader_election_master_status":                          {"name"},
	"process_cpu_seconds_total":                              nil,
	"process_resident_memory_bytes":                          nil,
	"rest_client_requests_total":                             {"code", "method", "host"},
	"workqueue_depth":                                        {"name", "controller", "priority"},
	"workqueue_queue_duration_seconds":                       {"name", "controller"},
}

// ofTargets are the labels that Prometheus adds. An installation with several clusters has the label cluster.
var ofTargets = []string{"cluster", "instance", "job"}

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
	known := served(t)
	for _, rule := range allRules(t) {
		expression := parse(t, rule.Expr)
		checkRead(t, rule.Alert+rule.Record, expression, known)
		if rule.Record != "" {
			known[rule.Record] = labelsOf(expression, known)
		}
	}
}

// served returns the labels of each metric that the operator and the API server have.
func served(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := maps.Clone(ofOthers)
	for _, row := range documented.FindAllStringSubmatch(string(page), -1) {
		var of []string
		for _, kind := range []string{"leaderworkerset", "disaggregatedset"} {
			if strings.HasPrefix(row[1], kind+"_") {
				of = append(of, "namespace", kind)
			}
		}
		for _, label := range quoted.FindAllStringSubmatch(row[2], -1) {
			of = append(of, label[1])
		}
		known[row[1]] = of
	}
	return known
}

// checkRead checks that an expression reads known metrics and known labels only.
func checkRead(t *testing.T, where string, expression parser.Expr, known map[string][]string) {
	t.Helper()
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		var used []string
		switch node := node.(type) {
		case *parser.VectorSelector:
			if _, ok := lookUp(nameOf(node.LabelMatchers), known); !ok {
				t.Errorf("%s reads the unknown metric %q", where, nameOf(node.LabelMatchers))
			}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != model.MetricNameLabel {
					used = append(used, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			used = node.Grouping
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				used = node.VectorMatching.MatchingLabels
			}
		default:
			return nil
		}
		of := labelsOf(node, known)
		for _, label := range used {
			if !slices.Contains(of, label) {
				t.Errorf("%s reads the unknown label %q in %s", where, label, node)
			}
		}
		return nil
	})
}

// labelsOf returns the labels of the metrics that an expression reads.
func labelsOf(node parser.Node, known map[string][]string) []string {
	all := slices.Clone(ofTargets)
	parser.Inspect(node, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			of, _ := lookUp(nameOf(selector.LabelMatchers), known)
			all = append(all, of...)
		}
		return nil
	})
	return all
}

// lookUp returns the labels of a metric, which may be a part of a histogram.
func lookUp(name string, known map[string][]string) ([]string, bool) {
	if of, ok := known[name]; ok {
		return of, true
	}
	if base, ok := strings.CutSuffix(name, "_bucket"); ok {
		of, ok := known[base]
		return append([]string{"le"}, of...), ok
	}
	of, ok := known[strings.TrimSuffix(name, "_count")]
	return of, ok
}

// parse parses an expression.
func parse(t *testing.T, text string) parser.Expr {
	t.Helper()
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return expression
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
