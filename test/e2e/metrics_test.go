// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLocalMetrics reads the metrics of a set while a group of it fails, and after the set is deleted.
func TestLocalMetrics(t *testing.T) {
	namespace := newNamespace(t)
	lws := newSet(namespace, "measured", 2, 2)
	create(t, lws)
	untilAvailable(t, lws)
	of := fmt.Sprintf(`leaderworkerset="measured",namespace=%q`, namespace)
	untilMetrics(t,
		"leaderworkerset_spec_replicas{"+of+"} 2",
		"leaderworkerset_status_replicas_ready{"+of+"} 2",
		`leaderworkerset_status_condition{condition="Available",`+of+"} 1",
		`leaderworkerset_group_restarts_total{cause="PodDeleted",`+of+"} 0",
		"leaderworkerset_group_startup_duration_seconds_count{"+of+"} 2")

	remove(t, named(t, listed(t, podsIn(namespace)), "measured-1-1"))
	untilMetrics(t,
		"leaderworkerset_status_replicas_ready{"+of+"} 2",
		`leaderworkerset_group_restarts_total{cause="PodDeleted",`+of+"} 1",
		"leaderworkerset_group_startup_duration_seconds_count{"+of+"} 3",
		"leaderworkerset_group_recovery_duration_seconds_count{"+of+"} 1")

	remove(t, lws)
	untilNoMetrics(t, of)
}

// TestLocalDisaggregatedMetrics reads the metrics of a DisaggregatedSet after a rollout, and after the set is deleted.
func TestLocalDisaggregatedMetrics(t *testing.T) {
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 2), newRole("decode", 1)})
	create(t, set)
	untilRolesAvailable(t, set)
	of := fmt.Sprintf(`disaggregatedset="llama",namespace=%q`, namespace)
	untilMetrics(t,
		"disaggregatedset_spec_slices{"+of+"} 1",
		"disaggregatedset_spec_role_replicas{"+of+`,role="prefill"} 2`,
		"disaggregatedset_status_role_replicas_ready{"+of+`,role="decode"} 1`,
		`disaggregatedset_status_condition{condition="Available",`+of+"} 1")

	edit(t, set, withRoleImages(nextImage, nextImage))
	untilRolesAvailable(t, set)
	untilMetrics(t,
		"disaggregatedset_status_role_replicas_updated{"+of+`,role="prefill"} 2`,
		"disaggregatedset_rollout_duration_seconds_count{"+of+"} 1")

	remove(t, set)
	untilNoMetrics(t, of)
}

// untilNoMetrics waits until the operator serves no series with these labels.
func untilNoMetrics(t *testing.T, of string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		text, err := suite.operator.Metrics(ctx)
		if err != nil {
			return err
		}
		return unless(!strings.Contains(text, of), "the deleted set has metrics")
	})
}

// ofProcess are the metrics of controller-runtime, of client-go and of the process in a dashboard.
var ofProcess = regexp.MustCompile(`\b(controller_runtime|process|rest_client|workqueue)(_[a-z]+)+\b`)

// TestLocalMetricsOfDashboards looks for these metrics at the operator. The suite's operator elects no leader, so the
// test leaves out the metric of the election.
func TestLocalMetricsOfDashboards(t *testing.T) {
	lws := newSet(newNamespace(t), "measured", 1, 2)
	create(t, lws)
	untilAvailable(t, lws)
	served, err := suite.operator.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	board, err := os.ReadFile("../../config/grafana/lws-operator.json")
	if err != nil {
		t.Fatal(err)
	}
	names := ofProcess.FindAllString(string(board), -1)
	if len(names) == 0 {
		t.Fatal("the dashboard reads no metric of the process")
	}
	for _, name := range names {
		if !strings.Contains(served, "# TYPE "+strings.TrimSuffix(name, "_bucket")+" ") {
			t.Errorf("the operator doesn't serve %s", name)
		}
	}
}

// untilMetrics waits until the operator serves all these series.
func untilMetrics(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		text, err := suite.operator.Metrics(ctx)
		if err != nil {
			return err
		}
		for _, series := range want {
			if !strings.Contains(text, series+"\n") {
				return fmt.Errorf("no %s", series)
			}
		}
		return nil
	})
}
