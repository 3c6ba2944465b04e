// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics has the metrics of LeaderWorkerSets, of DisaggregatedSets and of the operator's process, and decides
// who may read them.
//
// The state of sets is read from the cache when somebody reads the metrics: it is as new as the cache, and a deleted
// set leaves nothing behind. Counters and histograms take what package measure counts. Only the elected replica makes
// passes, so only it has metrics of sets. Its successor starts at zero.
package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/featuregate"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
)

// Options configure metrics.
type Options struct {
	// Version is the version of the operator.
	Version string

	// Sets reads LeaderWorkerSets, DisaggregatedSets and their scalers from the cache.
	Sets client.Reader

	// Elected is closed once this replica is elected.
	Elected <-chan struct{}

	// PerSetHistograms gives each set histograms of its own. Otherwise one histogram takes all sets.
	PerSetHistograms bool

	// Features are the feature gates; nil for none.
	Features featuregate.FeatureGate

	// Certificates return when the certificate of a use ends. ok is false while there is none.
	Certificates map[string]func() (end time.Time, ok bool)
}

// The uses of certificates.
const (
	UseWebhook = "webhook"
	UseMetrics = "metrics"
)

// Metrics are all metrics of the operator that aren't those of libraries.
type Metrics struct {
	sets

	dsets             *DisaggregatedSets
	apiRefusals       *prometheus.CounterVec
	releaseRejections prometheus.Counter
	upgradeHeld       *prometheus.GaugeVec
	constant          []prometheus.Collector // never change, or are read when somebody reads the metrics
}

// New returns metrics.
func New(options Options) *Metrics {
	build := buildInfo.gaugeVec()
	build.WithLabelValues(options.Version).Set(1)
	m := &Metrics{
		sets:              newSets(&options),
		apiRefusals:       apiRefusals.counterVec(apiRefusals.labels),
		releaseRejections: releaseRejections.counterVec(nil).WithLabelValues(),
		upgradeHeld:       upgradeHeld.gaugeVec(),
		constant:          []prometheus.Collector{build, features(options.Features), certificates(options.Certificates)},
	}
	m.dsets = newDisaggregatedSets(&options, m.Refused)
	return m
}

// DisaggregatedSets returns the metrics of DisaggregatedSets.
func (m *Metrics) DisaggregatedSets() *DisaggregatedSets { return m.dsets }

// Register adds the metrics to those that are served.
func (m *Metrics) Register(registry prometheus.Registerer) error {
	var failed error
	for _, collector := range append([]prometheus.Collector{
		&m.sets, m.dsets, m.apiRefusals, m.releaseRejections, m.upgradeHeld,
	}, m.constant...) {
		failed = errors.Join(failed, registry.Register(collector))
	}
	return failed
}

// Refused counts a write that the API server refused.
func (m *Metrics) Refused(resource string, verb apply.Verb, reason string) {
	m.apiRefusals.WithLabelValues(resource, string(verb), reason).Inc()
}

// LeaderRejected counts a leader pod that the webhook sent back.
func (m *Metrics) LeaderRejected() { m.releaseRejections.Inc() }

// UpgradeHeld reports whether upgrades are held back for a reason.
func (m *Metrics) UpgradeHeld(reason string, held bool) {
	value := 0.0
	if held {
		value = 1
	}
	m.upgradeHeld.WithLabelValues(reason).Set(value)
}

// features returns the gauges of features.
func features(gate featuregate.FeatureGate) prometheus.Collector {
	gauges := featureEnabled.gaugeVec()
	mutable, ok := gate.(featuregate.MutableFeatureGate)
	if !ok {
		return gauges
	}
	for name, spec := range mutable.GetAll() {
		if name == "AllAlpha" || name == "AllBeta" {
			continue // These switch others, and are no features.
		}
		stage := string(spec.PreRelease)
		if stage == "" {
			stage = "GA"
		}
		value := 0.0
		if gate.Enabled(name) {
			value = 1
		}
		gauges.WithLabelValues(string(name), stage).Set(value)
	}
	return gauges
}

// certificates are the certificates that a replica serves, by use.
type certificates map[string]func() (end time.Time, ok bool)

var certificateDesc = prometheus.NewDesc(certificateEnd.name, certificateEnd.help, certificateEnd.labels, nil)

// Describe implements [prometheus.Collector].
func (certificates) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- certificateDesc }

// Collect implements [prometheus.Collector].
func (c certificates) Collect(collected chan<- prometheus.Metric) {
	for use, end := range c {
		if at, ok := end(); ok {
			collected <- prometheus.MustNewConstMetric(certificateDesc, prometheus.GaugeValue, float64(at.Unix()), use)
		}
	}
}
