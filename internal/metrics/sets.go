// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
)

// listTimeout bounds a read of the cache. It takes microseconds once the cache is filled.
const listTimeout = time.Second

// sets are the metrics of LeaderWorkerSets.
type sets struct {
	reader  client.Reader
	elected <-chan struct{}
	perSet  bool // whether each set has histograms of its own

	restarts                      *prometheus.CounterVec
	startups, recoveries, updates *prometheus.HistogramVec

	mutex   sync.Mutex
	unready map[types.NamespacedName]map[leaderworkersetv1.UnreadyReason]int32 // of the sets that had a pass
}

var _ prometheus.Collector = &sets{}

func newSets(options *Options) sets {
	histograms := func(of *definition) *prometheus.HistogramVec {
		if options.PerSetHistograms {
			return of.histogramVec(of.perSet())
		}
		return of.histogramVec(of.labels)
	}
	return sets{
		reader: options.Sets, elected: options.Elected, perSet: options.PerSetHistograms,
		restarts: groupRestarts.counterVec(groupRestarts.perSet()),
		startups: histograms(groupStartup), recoveries: histograms(groupRecovery), updates: histograms(rolloutDuration),
		unready: map[types.NamespacedName]map[leaderworkersetv1.UnreadyReason]int32{},
	}
}

// Count takes what a pass over a set adds.
func (s *sets) Count(set types.NamespacedName, counts *measure.Counts) {
	if s.remember(set, counts) {
		s.start(set)
	}
	for _, one := range counts.Restarts {
		s.restarts.WithLabelValues(set.Namespace, set.Name, string(one.Cause)).Inc()
	}
	observe(s.startups.WithLabelValues(s.labels(set)...), counts.Startups)
	observe(s.recoveries.WithLabelValues(s.labels(set)...), counts.Recoveries)
	for _, one := range counts.Rollouts {
		s.updates.WithLabelValues(s.labels(set, string(one.Result))...).Observe(one.Duration.Seconds())
	}
}

func observe(into prometheus.Observer, durations []time.Duration) {
	for _, duration := range durations {
		into.Observe(duration.Seconds())
	}
}

// remember keeps why groups of a set aren't ready. first reports whether this is the set's first pass.
func (s *sets) remember(set types.NamespacedName, counts *measure.Counts) (first bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, known := s.unready[set]
	if counts.Unready != nil || !known {
		s.unready[set] = counts.Unready
	}
	return !known
}

// start begins the counters and the common histograms of a set at zero. Prometheus can't see that a series which begins
// at 1 has increased.
func (s *sets) start(set types.NamespacedName) {
	for _, cause := range restart.Causes() {
		s.restarts.WithLabelValues(set.Namespace, set.Name, string(cause))
	}
	s.updates.WithLabelValues(s.labels(set, string(measure.Complete))...)
}

// labels returns the values of a histogram's labels.
func (s *sets) labels(set types.NamespacedName, more ...string) []string {
	if !s.perSet {
		return more
	}
	return append([]string{set.Namespace, set.Name}, more...)
}

// Forget drops the metrics of a deleted set. Histograms of all sets keep what they have.
func (s *sets) Forget(set types.NamespacedName) {
	s.mutex.Lock()
	delete(s.unready, set)
	s.mutex.Unlock()
	of := prometheus.Labels{namespaceLabel: set.Namespace, setLabel: set.Name}
	s.restarts.DeletePartialMatch(of)
	if !s.perSet {
		return
	}
	for _, histograms := range []*prometheus.HistogramVec{s.startups, s.recoveries, s.updates} {
		histograms.DeletePartialMatch(of)
	}
}

// descs are the descriptions of the gauges.
var descs = describe(specReplicas, specGroupSize, statusReplicas, statusReady, statusUpdated, statusUnready,
	statusCondition, generation, observed, created, rolloutStart)

// Describe implements [prometheus.Collector].
func (s *sets) Describe(descriptions chan<- *prometheus.Desc) {
	for _, desc := range descs {
		descriptions <- desc
	}
	for _, counted := range []prometheus.Collector{s.restarts, s.startups, s.recoveries, s.updates} {
		counted.Describe(descriptions)
	}
}

// Collect implements [prometheus.Collector]. A replica that isn't elected has no metrics of sets.
func (s *sets) Collect(collected chan<- prometheus.Metric) {
	select {
	case <-s.elected:
	default:
		return
	}
	for _, counted := range []prometheus.Collector{s.restarts, s.startups, s.recoveries, s.updates} {
		counted.Collect(collected)
	}
	within, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var list leaderworkersetv1.LeaderWorkerSetList
	if err := s.reader.List(within, &list, client.UnsafeDisableDeepCopy); err != nil {
		collected <- prometheus.NewInvalidMetric(descs[specReplicas], err)
		return
	}
	for i := range list.Items {
		s.collectSet(collected, &list.Items[i])
	}
}

// collectSet collects the state of one set.
func (s *sets) collectSet(collected chan<- prometheus.Metric, lws *leaderworkersetv1.LeaderWorkerSet) {
	send := func(of *definition, value float64, labels ...string) {
		labels = append([]string{lws.Namespace, lws.Name}, labels...)
		collected <- prometheus.MustNewConstMetric(descs[of], prometheus.GaugeValue, value, labels...)
	}
	send(specReplicas, float64(*lws.Spec.Replicas))
	send(specGroupSize, float64(*lws.Spec.LeaderWorkerTemplate.Size))
	send(statusReplicas, float64(lws.Status.Replicas))
	send(statusReady, float64(lws.Status.ReadyReplicas))
	send(statusUpdated, float64(lws.Status.UpdatedReplicas))
	send(generation, float64(lws.Generation))
	send(observed, float64(lws.Status.ObservedGeneration))
	send(created, float64(lws.CreationTimestamp.Unix()))
	for reason, groups := range s.unreadyOf(client.ObjectKeyFromObject(lws)) {
		send(statusUnready, float64(groups), string(reason))
	}
	for _, kind := range conditions {
		value := 0.0
		if meta.IsStatusConditionTrue(lws.Status.Conditions, kind) {
			value = 1
		}
		send(statusCondition, value, kind)
	}
	updating := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress)
	if updating != nil && updating.Status == metav1.ConditionTrue {
		send(rolloutStart, float64(updating.LastTransitionTime.Unix()))
	}
}

// unreadyOf returns why groups of a set weren't ready in the last pass. The result is read-only.
func (s *sets) unreadyOf(set types.NamespacedName) map[leaderworkersetv1.UnreadyReason]int32 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.unready[set]
}
