// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/featuregate"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
	"github.com/leaderworkerset/lws-operator/internal/metrics"
)

// cached is a cache with LeaderWorkerSets, DisaggregatedSets and scalers.
type cached struct {
	client.Reader

	sets    []leaderworkersetv1.LeaderWorkerSet
	dsets   []disaggregatedsetv1.DisaggregatedSet
	scalers []disaggregatedsetv1.DisaggregatedSetRoleScaler
}

// List implements [client.Reader].
func (c *cached) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *leaderworkersetv1.LeaderWorkerSetList:
		list.Items = c.sets
	case *disaggregatedsetv1.DisaggregatedSetList:
		list.Items = c.dsets
	case *disaggregatedsetv1.DisaggregatedSetRoleScalerList:
		list.Items = c.scalers
	default:
		return fmt.Errorf("unexpected list of %T", list)
	}
	return nil
}

var theSet = types.NamespacedName{Namespace: "default", Name: "llama"}

// newSet returns a set in a rolling update.
func newSet(key types.NamespacedName) leaderworkersetv1.LeaderWorkerSet {
	lws := leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, Generation: 3, CreationTimestamp: metav1.Unix(1000, 0),
	}}
	lws.Spec.Replicas, lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](10), ptr.To[int32](4)
	lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{
		Replicas: 11, ReadyReplicas: 7, UpdatedReplicas: 2, ObservedGeneration: 2,
		Conditions: []metav1.Condition{
			{Type: leaderworkersetv1.ConditionProgressing, Status: metav1.ConditionTrue},
			{Type: leaderworkersetv1.ConditionAvailable, Status: metav1.ConditionFalse},
			{
				Type: leaderworkersetv1.ConditionUpdateInProgress, Status: metav1.ConditionTrue,
				LastTransitionTime: metav1.Unix(2000, 0),
			},
		},
	}
	return lws
}

// everything is one pass in which all that can count happens, with every reason at once.
func everything() *measure.Counts {
	counts := &measure.Counts{
		Startups: []time.Duration{7 * time.Second, 40 * time.Minute}, Recoveries: []time.Duration{time.Minute},
		Unready: map[leaderworkersetv1.UnreadyReason]int32{},
	}
	for _, cause := range restart.Causes() {
		counts.Restarts = append(counts.Restarts, measure.Restart{Cause: cause})
	}
	for _, result := range measure.Results() {
		counts.Rollouts = append(counts.Rollouts, measure.Rollout{Result: result, Duration: time.Hour})
	}
	for _, reason := range []leaderworkersetv1.UnreadyReason{
		leaderworkersetv1.UnreadyMissing, leaderworkersetv1.UnreadyTerminating, leaderworkersetv1.UnreadyDegraded,
		leaderworkersetv1.UnreadyCrashed, leaderworkersetv1.UnreadyBlocked, leaderworkersetv1.UnreadyPreviousGroup,
		leaderworkersetv1.UnreadyDisrupted, leaderworkersetv1.UnreadyGated, leaderworkersetv1.UnreadyUnschedulable,
		leaderworkersetv1.UnreadyImagePull, leaderworkersetv1.UnreadyCannotStart, leaderworkersetv1.UnreadyCrashLoop,
		leaderworkersetv1.UnreadyLeader, leaderworkersetv1.UnreadyWorkers,
	} {
		counts.Unready[reason] = 1
	}
	return counts
}

// replica returns the metrics of a replica, and the registry that serves them.
func replica(tb testing.TB, elected, perSet bool, sets ...leaderworkersetv1.LeaderWorkerSet) (
	*metrics.Metrics, *prometheus.Registry,
) {
	tb.Helper()
	return replicaWith(tb, elected, perSet, &cached{sets: sets})
}

// replicaWith returns the same with a cache.
func replicaWith(tb testing.TB, elected, perSet bool, cache *cached) (*metrics.Metrics, *prometheus.Registry) {
	tb.Helper()
	election := make(chan struct{})
	if elected {
		close(election)
	}
	gate := featuregate.NewFeatureGate()
	features := map[featuregate.Feature]featuregate.FeatureSpec{"Gangs": {PreRelease: featuregate.Alpha}}
	if err := gate.Add(features); err != nil {
		tb.Fatal(err)
	}
	served := metrics.New(metrics.Options{
		Version: "1.2.3", Sets: cache, Elected: election, PerSetHistograms: perSet, Features: gate,
		Certificates: map[string]func() (time.Time, bool){
			metrics.UseWebhook: func() (time.Time, bool) { return time.Unix(5000, 0), true },
			metrics.UseMetrics: func() (time.Time, bool) { return time.Time{}, false },
		},
	})
	registry := prometheus.NewPedanticRegistry()
	if err := served.Register(registry); err != nil {
		tb.Fatal(err)
	}
	return served, registry
}

// TestLint has all metrics at once checked by promlint.
func TestLint(t *testing.T) {
	served, registry := replicaWith(t, true, true, &cached{
		sets:  []leaderworkersetv1.LeaderWorkerSet{newSet(theSet)},
		dsets: []disaggregatedsetv1.DisaggregatedSet{newDisaggregatedSet(theSet)},
	})
	served.Count(theSet, everything())
	served.DisaggregatedSets().Cached()
	served.DisaggregatedSets().RolledOut(theSet, time.Minute)
	served.Refused("statefulsets", apply.VerbCreate, "Forbidden")
	served.UpgradeHeld("RollingUpdatesInProgress", true)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
}

// TestState compares the metrics that are read from the cache.
func TestState(t *testing.T) {
	served, registry := replica(t, true, true, newSet(theSet))
	served.Count(theSet, &measure.Counts{Unready: map[leaderworkersetv1.UnreadyReason]int32{
		leaderworkersetv1.UnreadyMissing: 2, leaderworkersetv1.UnreadyCrashLoop: 1,
	}})
	served.UpgradeHeld("RollingUpdatesInProgress", true)
	served.LeaderRejected()
	text := scrape(t, registry)
	const set = `leaderworkerset="llama",namespace="default"`
	for _, want := range []string{
		"leaderworkerset_spec_replicas{" + set + "} 10",
		"leaderworkerset_spec_group_size{" + set + "} 4",
		"leaderworkerset_status_replicas{" + set + "} 11",
		"leaderworkerset_status_replicas_ready{" + set + "} 7",
		"leaderworkerset_status_replicas_updated{" + set + "} 2",
		"leaderworkerset_metadata_generation{" + set + "} 3",
		"leaderworkerset_status_observed_generation{" + set + "} 2",
		"leaderworkerset_created_timestamp_seconds{" + set + "} 1000",
		"leaderworkerset_rollout_start_timestamp_seconds{" + set + "} 2000",
		"leaderworkerset_status_groups_unready{" + set + `,reason="CrashLoop"} 1`,
		"leaderworkerset_status_groups_unready{" + set + `,reason="Missing"} 2`,
		`leaderworkerset_status_condition{condition="Progressing",` + set + "} 1",
		`leaderworkerset_status_condition{condition="Available",` + set + "} 0",
		`leaderworkerset_status_condition{condition="Stalled",` + set + "} 0",
		`leaderworkerset_group_restarts_total{cause="PodFailed",` + set + "} 0",
		"leaderworkerset_group_startup_duration_seconds_count{" + set + "} 0",
		`lws_operator_build_info{version="1.2.3"} 1`,
		`lws_operator_feature_enabled{name="Gangs",stage="ALPHA"} 0`,
		`lws_operator_certificate_expiration_timestamp_seconds{use="webhook"} 5000`,
		`lws_operator_upgrade_held{reason="RollingUpdatesInProgress"} 1`,
		"lws_operator_release_refusals_total 1",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, `use="metrics"`) {
		t.Error("a certificate that doesn't exist has an end")
	}
}

// maxSeries bounds the series of one set.
const maxSeries = 81

// TestSeries counts the series of one set in which everything has happened.
func TestSeries(t *testing.T) {
	for _, tc := range []struct {
		name            string
		elected, perSet bool
		sets, want      int
	}{
		{"one set", true, true, 1, maxSeries},
		{"two sets", true, true, 2, 2 * maxSeries},
		{"one histogram for all sets", true, false, 1, maxSeries},
		{"two sets, one histogram for both", true, false, 2, 2*maxSeries - 40},
		{"a replica that isn't elected", false, true, 1, 0},
	} {
		var sets []leaderworkersetv1.LeaderWorkerSet
		for i := range tc.sets {
			sets = append(sets, newSet(types.NamespacedName{Namespace: "default", Name: fmt.Sprint("llama-", i)}))
		}
		served, registry := replica(t, tc.elected, tc.perSet, sets...)
		if tc.elected { // Only the elected replica makes passes.
			for i := range sets {
				served.Count(client.ObjectKeyFromObject(&sets[i]), everything())
			}
		}
		if got := series(scrape(t, registry)); got != tc.want {
			t.Errorf("%s: %d series, want %d", tc.name, got, tc.want)
		}
	}
}

// TestForget deletes one of two sets.
func TestForget(t *testing.T) {
	other := types.NamespacedName{Namespace: "default", Name: "other"}
	served, registry := replica(t, true, true, newSet(other))
	served.Count(theSet, everything())
	served.Count(other, everything())
	served.Forget(theSet)
	text := scrape(t, registry)
	if strings.Contains(text, theSet.Name) || series(text) != maxSeries {
		t.Errorf("%d series are left:\n%s", series(text), text)
	}
}

// TestUnreadyGroups compares the reasons why groups aren't ready after several passes. A pass that decides nothing
// about groups keeps those of the pass before. A reason without groups has no series.
func TestUnreadyGroups(t *testing.T) {
	served, registry := replica(t, true, true, newSet(theSet))
	const metric, set = "leaderworkerset_status_groups_unready", `leaderworkerset="llama",namespace="default"`
	type unready = map[leaderworkersetv1.UnreadyReason]int32
	for _, pass := range []struct {
		what    string
		unready unready
		want    []string
	}{
		{"the first pass decides nothing", nil, nil},
		{"two reasons", unready{leaderworkersetv1.UnreadyMissing: 2, leaderworkersetv1.UnreadyWorkers: 1}, []string{
			metric + "{" + set + `,reason="Missing"} 2`, metric + "{" + set + `,reason="WorkersNotReady"} 1`,
		}},
		{"a pass decides nothing", nil, []string{
			metric + "{" + set + `,reason="Missing"} 2`, metric + "{" + set + `,reason="WorkersNotReady"} 1`,
		}},
		{"one group is ready", unready{leaderworkersetv1.UnreadyMissing: 2}, []string{
			metric + "{" + set + `,reason="Missing"} 2`,
		}},
		{"all are ready", unready{}, nil},
	} {
		served.Count(theSet, &measure.Counts{Unready: pass.unready})
		wantSeries(t, pass.what, scrape(t, registry), metric, pass.want...)
	}
}

// TestRefusals counts writes that the API server refuses, by what the writer reports of them. Answers that aren't
// refusals don't count.
func TestRefusals(t *testing.T) {
	served, registry := replica(t, true, true)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a-0", UID: "pod"}}
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), pod.Name, errors.New("a policy says so"))
	for _, answer := range []error{forbidden, forbidden, apierrors.NewTooManyRequestsError("later"), nil} {
		api := interceptor.Funcs{
			Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return answer },
		}
		answering := fake.NewClientBuilder().WithInterceptorFuncs(api).Build()
		writer := apply.Applier{Client: answering, Live: answering, OnRefusal: served.Refused}
		err := writer.Writes(t.Context(), []write.Write{{Delete: []write.Object{pod}}})
		if (err == nil) != (answer == nil) {
			t.Errorf("the answer %v gives %v", answer, err)
		}
	}
	wantSeries(t, "refusals", scrape(t, registry), "lws_operator_api_refusals_total",
		`lws_operator_api_refusals_total{reason="Forbidden",resource="pods",verb="delete"} 2`)
}

// TestUpgradeHeld holds upgrades back for two reasons, one after the other.
func TestUpgradeHeld(t *testing.T) {
	const metric = "lws_operator_upgrade_held"
	served, registry := replica(t, true, true)
	series := func(reason string, value int) string { return fmt.Sprintf("%s{reason=%q} %d", metric, reason, value) }
	wantSeries(t, "at first", scrape(t, registry), metric)
	served.UpgradeHeld("RollingUpdatesInProgress", true)
	wantSeries(t, "a rollout", scrape(t, registry), metric, series("RollingUpdatesInProgress", 1))
	served.UpgradeHeld("RollingUpdatesInProgress", false)
	served.UpgradeHeld("Other", true)
	wantSeries(t, "after it", scrape(t, registry), metric, series("Other", 1), series("RollingUpdatesInProgress", 0))
}

// wantSeries compares the series of a metric.
func wantSeries(t *testing.T, what, text, metric string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, metric+"{") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: series (-want +got):\n%s", what, diff)
	}
}

// series counts the series of sets.
func series(text string) int { return strings.Count("\n"+text, "\nleaderworkerset_") }

// scrape returns what a reader gets.
func scrape(tb testing.TB, registry prometheus.Gatherer) string {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			tb.Fatal(err)
		}
	}
	return text.String()
}

// BenchmarkScrape reads the metrics of 100 sets with 10 groups each.
func BenchmarkScrape(b *testing.B) {
	var sets []leaderworkersetv1.LeaderWorkerSet
	for i := range 100 {
		sets = append(sets, newSet(types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("llama-%d", i)}))
	}
	for _, perSet := range []bool{true, false} {
		b.Run(fmt.Sprintf("perSetHistograms=%t", perSet), func(b *testing.B) {
			served, registry := replica(b, true, perSet, sets...)
			for i := range sets {
				counts := everything()
				counts.Unready = map[leaderworkersetv1.UnreadyReason]int32{leaderworkersetv1.UnreadyWorkers: 3}
				served.Count(client.ObjectKeyFromObject(&sets[i]), counts)
			}
			var text string
			for b.Loop() {
				text = scrape(b, registry)
			}
			b.ReportMetric(float64(len(text)), "bytes/scrape")
			b.ReportMetric(float64(series(text)), "series/scrape")
		})
	}
}
