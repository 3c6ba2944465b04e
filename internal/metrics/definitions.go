// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// kind is the type of a metric, in the words of Prometheus.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// The labels of all metrics of sets.
const (
	namespaceLabel = "namespace"
	setLabel       = "leaderworkerset"
	dsetLabel      = "disaggregatedset"
)

// definition describes a metric. The documentation is made from the definitions.
type definition struct {
	name string
	kind kind
	help string

	// labels are those besides the labels of sets.
	labels []string

	// set is the label with the name of the set; empty for metrics of the process.
	set string

	// buckets are the upper bounds of a histogram, in seconds.
	buckets []float64
}

// untilReady are buckets for the time until a group is ready. A small model starts within seconds. A large one is
// pulled and loaded for up to an hour. The bounds follow what people wait for: a third of the time, or half of it,
// makes a difference.
var untilReady = []float64{5, 15, 30, 60, 150, 300, 600, 1800, 3600}

// untilUpdated are buckets for rolling updates. These replace groups one after the other and take as long as several
// startups.
var untilUpdated = []float64{60, 300, 900, 3600, 14400}

// conditions are the types of conditions, which both kinds of sets have. All are reported, also those that a set
// doesn't have at the time.
var conditions = []string{
	leaderworkersetv1.ConditionAvailable, leaderworkersetv1.ConditionProgressing,
	leaderworkersetv1.ConditionUpdateInProgress, leaderworkersetv1.ConditionDegraded,
	leaderworkersetv1.ConditionReplicaFailure, leaderworkersetv1.ConditionStalled,
	leaderworkersetv1.ConditionReconciling,
}

// The metrics of sets that are read from the cache.
var (
	specReplicas   = ofSet("spec_replicas", gauge, "How many groups the spec asks for.")
	specGroupSize  = ofSet("spec_group_size", gauge, "How many pods a group has, the leader included.")
	statusReplicas = ofSet("status_replicas", gauge, "How many groups have a leader pod, surge included.")
	statusReady    = ofSet("status_replicas_ready", gauge, "How many groups are ready, surge included.")
	statusUpdated  = ofSet("status_replicas_updated", gauge, "How many groups are of the current revision.")
	generation     = ofSet("metadata_generation", gauge, "The generation of the spec.")
	observed       = ofSet("status_observed_generation", gauge, "The generation that the status is about.")
	created        = ofSet("created_timestamp_seconds", gauge, "When the set was created, in seconds since 1970.")
	rolloutStart   = ofSet("rollout_start_timestamp_seconds", gauge,
		"When the rolling update began, in seconds since 1970. Only while there is one.")
	statusUnready = ofSet("status_groups_unready", gauge,
		"How many of the groups that the spec asks for aren't ready, by the reason of "+
			"status.unreadyGroups. All groups count. A reason without groups has no series.", "reason")
	statusCondition = ofSet("status_condition", gauge,
		"1 for a condition that is True, 0 for another one.", "condition")
)

// The metrics of sets that count.
var (
	groupRestarts = ofSet("group_restarts_total", counter, "How many groups were restarted, by cause.", "cause")
	groupStartup  = ofSet("group_startup_duration_seconds", histogram,
		"The time from the creation of a leader pod until its group was ready for the first time.").in(untilReady)
	groupRecovery = ofSet("group_recovery_duration_seconds", histogram,
		"The time from the failure of a group until the group was ready again.").in(untilReady)
	rolloutDuration = ofSet("rollout_duration_seconds", histogram,
		"How long a rolling update took, by its result: Complete, or HeldByPartition. A new template "+
			"during a rolling update prolongs it.", "result").in(untilUpdated)
)

// The metrics of DisaggregatedSets.
var (
	dsetSpecSlices   = ofDisaggregatedSet("spec_slices", gauge, "How many slices the spec asks for.")
	dsetSpecReplicas = ofDisaggregatedSet("spec_role_replicas", gauge,
		"How many groups of a role the spec or the role's scaler asks for, in all slices.", "role")
	dsetReplicas = ofDisaggregatedSet("status_role_replicas", gauge,
		"How many groups of a role exist, of all slices and revisions.", "role")
	dsetReady = ofDisaggregatedSet("status_role_replicas_ready", gauge,
		"How many groups of a role are ready, of all slices and revisions.", "role")
	dsetUpdated = ofDisaggregatedSet("status_role_replicas_updated", gauge,
		"How many groups of a role are of the current revision, ready or not.", "role")
	dsetCondition = ofDisaggregatedSet("status_condition", gauge,
		"1 for a condition that is True, 0 for another one.", "condition")
	dsetGeneration = ofDisaggregatedSet("metadata_generation", gauge, "The generation of the spec.")
	dsetObserved   = ofDisaggregatedSet("status_observed_generation", gauge,
		"The generation that the status is about.")
	dsetCreated = ofDisaggregatedSet("created_timestamp_seconds", gauge,
		"When the set was created, in seconds since 1970.")
	dsetRolloutStart = ofDisaggregatedSet("rollout_start_timestamp_seconds", gauge,
		"When the rollout began, in seconds since 1970. Only while there is one.")
	dsetRolloutDuration = ofDisaggregatedSet("rollout_duration_seconds", histogram,
		"How long a rollout of all roles took. A new template during a rollout prolongs it.").in(untilUpdated)
)

// The metrics of the process.
var (
	apiRefusals = ofProcess("api_refusals_total", counter,
		"How many writes the API server refused for a reason that another attempt doesn't change. "+
			"NameTaken is the reason if another object has the name.", "resource", "verb", "reason")
	releaseRejections = ofProcess("release_refusals_total", counter,
		"How many leader pods the webhook sent back because the rolling update asks for another "+
			"revision.")
	certificateEnd = ofProcess("certificate_expiration_timestamp_seconds", gauge,
		"When the certificate ends that this replica serves, in seconds since 1970. The use is webhook "+
			"or metrics.", "use")
	upgradeHeld = ofProcess("upgrade_held", gauge,
		"1 while the operator asks the Operator Lifecycle Manager to wait with upgrades, else 0. Only "+
			"where that manager installed the operator.", "reason")
	featureEnabled = ofProcess("feature_enabled", gauge,
		"1 for a feature that is on, 0 for another one.", "name", "stage")
	buildInfo = ofProcess("build_info", gauge,
		"Always 1. The label has the version of the operator.", "version")
)

// definitions are all metrics, in the order of the documentation.
func definitions() []*definition {
	return []*definition{
		specReplicas, specGroupSize, statusReplicas, statusReady, statusUpdated, statusUnready, statusCondition,
		generation, observed, created, rolloutStart, groupRestarts, groupStartup, groupRecovery, rolloutDuration,
		dsetSpecSlices, dsetSpecReplicas, dsetReplicas, dsetReady, dsetUpdated, dsetCondition,
		dsetGeneration, dsetObserved, dsetCreated, dsetRolloutStart, dsetRolloutDuration,
		apiRefusals, releaseRejections, certificateEnd, upgradeHeld, featureEnabled, buildInfo,
	}
}

// ofSet defines a metric of LeaderWorkerSets.
func ofSet(name string, kind kind, help string, labels ...string) *definition {
	return &definition{name: "leaderworkerset_" + name, kind: kind, help: help, labels: labels, set: setLabel}
}

// ofDisaggregatedSet defines a metric of DisaggregatedSets.
func ofDisaggregatedSet(name string, kind kind, help string, labels ...string) *definition {
	return &definition{name: "disaggregatedset_" + name, kind: kind, help: help, labels: labels, set: dsetLabel}
}

// ofProcess defines a metric of the operator's process.
func ofProcess(name string, kind kind, help string, labels ...string) *definition {
	return &definition{name: "lws_operator_" + name, kind: kind, help: help, labels: labels}
}

// in returns the definition of a histogram with these buckets.
func (d *definition) in(buckets []float64) *definition {
	d.buckets = buckets
	return d
}

// perSet returns the labels of a metric of sets.
func (d *definition) perSet() []string {
	return append([]string{namespaceLabel, d.set}, d.labels...)
}

// desc returns the description of a gauge of sets.
func (d *definition) desc() *prometheus.Desc {
	return prometheus.NewDesc(d.name, d.help, d.perSet(), nil)
}

// describe returns the descriptions of gauges of sets.
func describe(all ...*definition) map[*definition]*prometheus.Desc {
	descs := map[*definition]*prometheus.Desc{}
	for _, of := range all {
		descs[of] = of.desc()
	}
	return descs
}

// counterVec returns the counters of a metric.
func (d *definition) counterVec(labels []string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, labels)
}

// gaugeVec returns the gauges of a metric of the process.
func (d *definition) gaugeVec() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.name, Help: d.help}, d.labels)
}

// histogramVec returns the histograms of a metric.
func (d *definition) histogramVec(labels []string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: d.name, Help: d.help, Buckets: d.buckets}, labels)
}
