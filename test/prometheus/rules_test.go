// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v2"
)

// healthy is a set with 3 ready groups and an operator of 2 replicas, of which the first leads, for a day.
const healthy = `load 1m
	lws_operator_build_info{instance="a",job="lws"} 1x1440
	lws_operator_build_info{instance="b",job="lws"} 1x1440
	` + lease + `{instance="a",` + leaseName + `} 1x1440
	` + lease + `{instance="b",` + leaseName + `} 0x1440
	` + spec + ` 3x1440
	` + ready + ` 3x1440
`

const (
	lease     = "leader_election_master_status"
	leaseName = `name="lws-operator.leaderworkerset.x-k8s.io"`
	set       = `namespace="ml",leaderworkerset="llama",instance="a"`
	spec      = `leaderworkerset_spec_replicas{` + set + `}`
	ready     = `leaderworkerset_status_replicas_ready{` + set + `}`
	updated   = `leaderworkerset_status_replicas_updated{` + set + `}`
	rejected  = `apiserver_admission_webhook_rejection_count{name="mpod.leaderworkerset.x-k8s.io",` +
		`error_type="calling_webhook_error"}`
	latency = `apiserver_admission_webhook_admission_duration_seconds_bucket{name="mpod.leaderworkerset.x-k8s.io",le=`
)

// condition returns the series of a condition.
func condition(name string) string {
	return `leaderworkerset_status_condition{` + set + `,condition="` + name + `"}`
}

// restarts returns the series of restarts for a cause.
func restarts(cause string) string {
	return `leaderworkerset_group_restarts_total{` + set + `,cause="` + cause + `"}`
}

// replaced is an upgrade: a leads for 100 minutes and is replaced by c, and b by d. d leads after a minute without a
// leader. In that time one webhook call fails.
func replaced(series, before, after string) string {
	return "\n\t" + series + " " + before + "x100 _x600" +
		"\n\t" + strings.Replace(series, `instance="a"`, `instance="d"`, 1) + " _x101 " + after + "x600"
}

var upgrade = "load 1m" +
	replaced(spec, "3", "3") + replaced(ready, "3", "3") + replaced(condition("Degraded"), "0", "0") +
	replaced(restarts("ContainerRestart"), "0", "0") +
	replaced(lease+`{instance="a",`+leaseName+`}`, "1", "1") +
	replaced(`lws_operator_build_info{instance="a",job="lws"}`, "1", "1") +
	"\n\t" + rejected + " 0x101 2x600\n"

var scenarios = []struct {
	name, series string
	// firing are the alerts that fire at some time, with the minute in which each begins.
	firing map[string]int
}{
	{"healthy", healthy, nil},
	{"an upgrade of the operator", upgrade, nil},
	{"an outage begins before a change of the leader", "load 1m" + replaced(spec, "3", "3") +
		"\n\t" + ready + " 3x90 0x9 _x600\n\t" + strings.Replace(ready, `"a"`, `"d"`, 1) + " _x101 0x600" +
		replaced(lease+`{instance="a",`+leaseName+`}`, "1", "1") + "\n\tlws_operator_build_info 1x700\n",
		map[string]int{"LeaderWorkerSetUnavailable": 106}},
	{"some groups", "load 1m\n\t" + spec + " 3x1000\n\t" + ready + " 3x60 2x1000\n\tlws_operator_build_info 1x1000\n",
		map[string]int{"LeaderWorkerSetGroupsNotReady": 91}},
	{"a rollout without progress", "load 1m\n\t" + condition("UpdateInProgress") + " 0x60 1x300\n\t" + updated +
		" 3x60 0x5 1x300\n\tlws_operator_build_info 1x1000\n", map[string]int{"LeaderWorkerSetRolloutStuck": 111}},
	{"a rollout with progress", "load 1m\n\t" + condition("UpdateInProgress") + " 1x300\n\t" + updated +
		" 0x20 1x20 2x20 3x20 4x20 5x20 6x20\n\tlws_operator_build_info 1x300\n", nil},
	{"degraded", "load 1m\n\t" + condition("Degraded") + " 0x60 1x100\n\tlws_operator_build_info 1x300\n",
		map[string]int{"LeaderWorkerSetGroupsFailed": 62}},
	{"refused", "load 1m\n\t" + condition("ReplicaFailure") + " 0x60 1x100\n\tlws_operator_build_info 1x300\n",
		map[string]int{"LeaderWorkerSetReplicaFailure": 66}},
	{"crashes", "load 1m\n\t" + spec + " 3x300\n\t" + ready + " 3x300\n\t" + restarts("PodFailed") +
		" 0x60 0+1x10 10x200\n\tlws_operator_build_info 1x300\n", map[string]int{"LeaderWorkerSetRestartStorm": -1}},
	{"disruptions", "load 1m\n\t" + spec + " 3x300\n\t" + ready + " 3x300\n\t" + restarts("Preempted") +
		" 0x60 0+1x10 10x200\n\tlws_operator_build_info 1x300\n", map[string]int{"LeaderWorkerSetDisruptedOften": -1}},
	{"not reconciled", "load 1m\n\tleaderworkerset_metadata_generation{" + set + "} 2x100\n\t" +
		"leaderworkerset_status_observed_generation{" + set + "} 1x100\n\tlws_operator_build_info 1x300\n",
		map[string]int{"LeaderWorkerSetNotReconciled": 5}},
	{"down", "load 1m\n\tlws_operator_build_info 1x60 _x100\n\tup 1x160\n", map[string]int{"LwsOperatorDown": -1}},
	{"no leader", "load 1m\n\tlws_operator_build_info 1x300\n\t" + lease + "{" + leaseName + "} 1x60 0x100\n",
		map[string]int{"LwsOperatorNoLeader": 64}},
	{"webhook unreachable", "load 1m\n\tlws_operator_build_info 1x300\n\t" + rejected + " 0x60 0+2x60\n",
		map[string]int{"LwsOperatorWebhookUnreachable": -1}},
	{"webhook slow", "load 1m\n\tlws_operator_build_info 1x300\n\t" + latency + `"1"} 0x100` + "\n\t" + latency +
		`"2.5"} 0+9x100` + "\n\t" + latency + `"+Inf"} 0+9x100` + "\n", map[string]int{"LwsOperatorWebhookSlow": -1}},
	{"reconcile errors", `load 1m
	lws_operator_build_info{instance="a",job="lws"} 1x300
	controller_runtime_reconcile_total{instance="a",job="lws",controller="group"} 0+10x100
	controller_runtime_reconcile_errors_total{instance="a",job="lws",controller="group"} 0+5x100
	controller_runtime_reconcile_total{instance="x",job="other",controller="other"} 0+10x100
	controller_runtime_reconcile_errors_total{instance="x",job="other",controller="other"} 0+5x100
`, map[string]int{"LwsOperatorReconcileErrors": -1}},
	{"certificate", "load 1m\n\tlws_operator_build_info 1x300\n\t" +
		`lws_operator_certificate_expiration_timestamp_seconds{use="webhook"} 43200x300` + "\n",
		map[string]int{"LwsOperatorCertificateExpiring": 61}},
}

func TestAlerts(t *testing.T) {
	file := ruleFile(t)
	for _, tc := range scenarios {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, file, tc.series)
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(tc.firing))) {
				t.Fatalf("firing %v, want %v", got, tc.firing)
			}
			for alert, minute := range tc.firing {
				if minute >= 0 && got[alert] != minute {
					t.Errorf("%s fires in minute %d, want %d", alert, got[alert], minute)
				}
			}
		})
	}
}

// ruleFile writes the spec of the PrometheusRule, which is a rule file.
func ruleFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../config/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec yaml.MapSlice `yaml:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	spec, err := yaml.Marshal(object.Spec)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, spec, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run evaluates the rules once a minute for two and a half hours. It returns the minute in which each alert fires
// first.
func run(t *testing.T, file, series string) map[string]int {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	loader, err := promqltest.NewLazyLoader(series, promqltest.LazyLoaderOpts{Parser: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loader.Close() })
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(loader.QueryEngine(), loader.Storage()),
		AppendableV2: loader.Storage(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Context:      t.Context(), Logger: promslog.NewNopLogger(), Parser: p,
	})
	loaded, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	if errs != nil {
		t.Fatal(errs)
	}
	firing := map[string]int{}
	for minute := range 150 {
		at := time.Unix(int64(minute)*60, 0).UTC()
		loader.WithSamplesTill(at, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range loaded {
				evaluate(t, group, at, minute, firing)
			}
		})
	}
	return firing
}

// evaluate evaluates a group of rules, and adds the alerts that fire for the first time.
func evaluate(t *testing.T, group *rules.Group, at time.Time, minute int, firing map[string]int) {
	t.Helper()
	group.Eval(t.Context(), at)
	for _, rule := range group.Rules() {
		if rule.LastError() != nil {
			t.Fatalf("%s: %v", rule.Name(), rule.LastError())
		}
		alert, ok := rule.(*rules.AlertingRule)
		if !ok || alert.State() != rules.StateFiring {
			continue
		}
		if _, seen := firing[alert.Name()]; !seen {
			firing[alert.Name()] = minute
		}
	}
}
