// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// dashboard has the fields of Grafana's JSON model that the tests read.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type, AllValue string
			Query                json.RawMessage
		}
	}
	Panels []struct {
		ID                 int
		Title, Description string
		FieldConfig        struct{ Defaults struct{ Unit string } }
		GridPos            struct{ X, Y, W, H int }
		Targets            []struct{ Expr, LegendFormat string }
	}
}

// units are those of Grafana that panels have. The empty one is a plain number.
var units = []string{"", "bytes", "ops", "percentunit", "reqps", "s"}

// chosen are the values that Grafana fills in: All for clusters and replicas, and the set of the scenarios.
var chosen = map[string]string{
	"cluster": ".*", "instance": ".*", "namespace": "ml", "leaderworkerset": "llama",
	"__rate_interval": "5m", "__range": "2h",
}

var (
	placeholder = regexp.MustCompile(`\$(\w+)`)
	legendLabel = regexp.MustCompile(`{{(\w+)}}`)
	valuesOf    = regexp.MustCompile(`label_values\((.*), (\w+)\)`)
	panelNamed  = regexp.MustCompile(`\bpanel\s+\*([^*]+)\*`)
)

// of are the labels of a process of the operator.
const of = `instance="a",job="lws"`

// eventful has what the scenarios of the alerts lack: a set that is updated, recovers from failures and was refused
// a pod, and an operator whose work, requests and webhooks take time.
var eventful = `load 1m
	lws_operator_build_info{version="1.0.0",` + of + `} 1x150
	lws_operator_upgrade_held{reason="Updating",` + of + `} 1x150
	lws_operator_release_refusals_total{` + of + `} 0+1x150
	lws_operator_api_refusals_total{resource="pods",verb="create",reason="Forbidden",` + of + `} 1x150
	leaderworkerset_spec_group_size{` + set + `} 4x150
	leaderworkerset_status_replicas{` + set + `} 4x150
	leaderworkerset_status_groups_unready{` + set + `,reason="Unschedulable"} 1x150
	leaderworkerset_rollout_start_timestamp_seconds{` + set + `} 60x150
	` + spec + ` 3x150
	` + ready + ` 2x150
	` + updated + ` 1x150
	` + condition("Available") + ` 0x150
	` + condition("UpdateInProgress") + ` 1x150
	` + condition("Stalled") + ` 1x150
` + duration("leaderworkerset_rollout_duration_seconds", set+`,result="Complete"`, "900") +
	duration("leaderworkerset_group_startup_duration_seconds", set, "150") +
	duration("leaderworkerset_group_recovery_duration_seconds", set, "300") +
	duration("workqueue_queue_duration_seconds", `controller="group",name="group",`+of, "0.1") +
	duration("controller_runtime_reconcile_time_seconds", `controller="group",`+of, "0.1") +
	duration("controller_runtime_webhook_latency_seconds", `webhook="/mutate-pod",`+of, "0.1") +
	`	controller_runtime_active_workers{controller="group",` + of + `} 3x150
	controller_runtime_max_concurrent_reconciles{controller="group",` + of + `} 20x150
	controller_runtime_reconcile_total{controller="group",result="success",` + of + `} 0+10x150
	controller_runtime_webhook_requests_total{webhook="/mutate-pod",code="200",` + of + `} 0+10x150
	process_cpu_seconds_total{` + of + `} 0+3x150
	process_resident_memory_bytes{` + of + `} 64000000x150
	rest_client_requests_total{method="GET",code="200",host="10.0.0.1:443",` + of + `} 0+10x150
	workqueue_depth{controller="group",name="group",priority="0",` + of + `} 2x150
`

// duration returns the series of a histogram to which each minute adds one value below a bound.
func duration(name, labels, bound string) string {
	return "\t" + name + "_count{" + labels + "} 0+1x150\n" +
		"\t" + name + "_bucket{" + labels + `,le="` + bound + `"} 0+1x150` + "\n" +
		"\t" + name + "_bucket{" + labels + `,le="+Inf"} 0+1x150` + "\n"
}

// TestDashboardsAreCanonical checks the form of the JSON, and what a reader of the dashboard sees.
func TestDashboardsAreCanonical(t *testing.T) {
	for name, text := range dashboardFiles(t) {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		var sorted bytes.Buffer
		encoder := json.NewEncoder(&sorted)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(value); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, sorted.Bytes()) {
			t.Errorf("%s isn't indented by two spaces with sorted keys", name)
		}
		board := decode(t, text)
		if board.SchemaVersion == 0 || board.UID+".json" != name {
			t.Errorf("%s has the uid %q and the schema version %d", name, board.UID, board.SchemaVersion)
		}
		checkPanels(t, board)
	}
}

// checkPanels checks titles, descriptions, units and places of the panels.
func checkPanels(t *testing.T, board dashboard) {
	t.Helper()
	taken, titles, ids := map[[2]int]string{}, map[string]bool{}, map[int]bool{}
	for _, p := range board.Panels {
		if p.Title == "" || titles[p.Title] || p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: the title %q or the number %d is missing or there twice", board.Title, p.Title, p.ID)
		}
		titles[p.Title], ids[p.ID] = true, true
		if !strings.HasSuffix(strings.TrimSpace(p.Description), ".") {
			t.Errorf("%s: the description of %s isn't a sentence", board.Title, p.Title)
		}
		if p.Description != strings.TrimSpace(p.Description) {
			t.Errorf("%s: the description of %s has spaces around it", board.Title, p.Title)
		}
		if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
			t.Errorf("%s: %s has the unknown unit %q", board.Title, p.Title, p.FieldConfig.Defaults.Unit)
		}
		at := p.GridPos
		if at.W <= 0 || at.H <= 0 || at.X+at.W > 24 {
			t.Errorf("%s: %s doesn't fit into the dashboard: %+v", board.Title, p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%s: %s covers %s", board.Title, p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// TestDashboardsReadMetricsThatExist checks the queries of panels and of variables.
func TestDashboardsReadMetricsThatExist(t *testing.T) {
	known := served(t)
	for name, text := range dashboardFiles(t) {
		board := decode(t, text)
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				checkRead(t, name+": "+p.Title, parse(t, fill(t, board, target.Expr)), known)
			}
		}
		for _, v := range board.Templating.List {
			if v.Type == "datasource" {
				continue
			}
			var query struct{ Query string }
			if err := json.Unmarshal(v.Query, &query); err != nil {
				t.Fatal(err)
			}
			parts := valuesOf.FindStringSubmatch(query.Query)
			if parts == nil || v.AllValue != ".*" {
				t.Fatalf("%s: the variable %s has the query %q, and %q for All", name, v.Name, query.Query, v.AllValue)
			}
			checkRead(t, name+": "+v.Name, parse(t, "sum by ("+parts[2]+") ("+fill(t, board, parts[1])+")"), known)
		}
	}
}

// TestDashboardsShowData checks that each query returns a value other than zero in a scenario, with the labels of its
// legend.
func TestDashboardsShowData(t *testing.T) {
	series := []string{eventful}
	for _, s := range scenarios {
		series = append(series, s.series)
	}
	var loaders []*promqltest.LazyLoader
	for _, text := range series {
		loaders = append(loaders, load(t, text))
	}
	for name, text := range dashboardFiles(t) {
		board := decode(t, text)
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				expr := fill(t, board, target.Expr)
				if !slices.ContainsFunc(loaders, func(l *promqltest.LazyLoader) bool {
					return shows(t, l, expr, target.LegendFormat)
				}) {
					t.Errorf("%s: %s never shows anything for %s", name, p.Title, expr)
				}
			}
		}
	}
}

// TestPanelsOfRunbooks checks that the panels exist that runbooks name.
func TestPanelsOfRunbooks(t *testing.T) {
	titles := map[string]bool{}
	for _, text := range dashboardFiles(t) {
		for _, p := range decode(t, text).Panels {
			titles[p.Title] = true
		}
	}
	pages, err := filepath.Glob("../../docs/operate/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range panelNamed.FindAllStringSubmatch(string(text), -1) {
			named++
			if title := strings.Join(strings.Fields(match[1]), " "); !titles[title] {
				t.Errorf("%s names the panel %q, which no dashboard has", page, title)
			}
		}
	}
	if named == 0 {
		t.Error("no runbook names a panel")
	}
}

// shows reports whether the query returns a value other than zero within two and a half hours, with all labels of
// the legend.
func shows(t *testing.T, loader *promqltest.LazyLoader, expr, legend string) bool {
	t.Helper()
	for minute := 5; minute <= 150; minute += 5 {
		query, err := loader.QueryEngine().NewInstantQuery(t.Context(), loader.Queryable(), nil, expr,
			time.Unix(int64(minute)*60, 0))
		if err != nil {
			t.Fatal(err)
		}
		result, err := query.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatalf("%v in %s", err, expr)
		}
		found := slices.ContainsFunc(result, func(s promql.Sample) bool {
			for _, label := range legendLabel.FindAllStringSubmatch(legend, -1) {
				if s.Metric.Get(label[1]) == "" {
					return false
				}
			}
			return s.F != 0 && !math.IsNaN(s.F)
		})
		query.Close()
		if found {
			return true
		}
	}
	return false
}

// load returns an engine with the series of two and a half hours.
func load(t *testing.T, series string) *promqltest.LazyLoader {
	t.Helper()
	loader, err := promqltest.NewLazyLoader(series, promqltest.LazyLoaderOpts{Parser: parser.NewParser(parser.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loader.Close() })
	loader.WithSamplesTill(time.Unix(150*60, 0), func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	return loader
}

// fill replaces the variables of a query. It fails if the dashboard doesn't have one of them.
func fill(t *testing.T, board dashboard, expr string) string {
	t.Helper()
	names := []string{"__rate_interval", "__range"}
	for _, v := range board.Templating.List {
		names = append(names, v.Name)
	}
	return placeholder.ReplaceAllStringFunc(expr, func(match string) string {
		value, ok := chosen[match[1:]]
		if !ok || !slices.Contains(names, match[1:]) {
			t.Errorf("%s has no variable %s", board.Title, match)
		}
		return value
	})
}

// dashboardFiles returns the dashboards that the component installs, by file name.
func dashboardFiles(t *testing.T) map[string][]byte {
	t.Helper()
	const folder = "../../config/grafana"
	files, err := filepath.Glob(folder + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	component, err := os.ReadFile(folder + "/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = text
		if !strings.Contains(string(component), "- "+filepath.Base(file)+"\n") {
			t.Errorf("the component doesn't install %s", file)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no dashboards in %s", folder)
	}
	return all
}

func decode(t *testing.T, text []byte) dashboard {
	t.Helper()
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	return board
}
