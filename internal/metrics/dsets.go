// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/identity"
)

// DisaggregatedSets are the metrics of DisaggregatedSets.
type DisaggregatedSets struct {
	reader  client.Reader
	cached  atomic.Bool // whether the cache has DisaggregatedSets; only the elected replica fills it
	perSet  bool        // whether each set has a histogram of its own
	updates *prometheus.HistogramVec
	refused func(resource string, verb apply.Verb, reason string)

	// starting is held while histograms of sets in the cache begin. Without it, that of a deleted set could begin again.
	starting sync.Mutex
}

var _ prometheus.Collector = &DisaggregatedSets{}

func newDisaggregatedSets(
	options *Options, refused func(resource string, verb apply.Verb, reason string),
) *DisaggregatedSets {
	labels := dsetRolloutDuration.labels
	if options.PerSetHistograms {
		labels = dsetRolloutDuration.perSet()
	}
	return &DisaggregatedSets{
		reader: options.Sets, perSet: options.PerSetHistograms, refused: refused,
		updates: dsetRolloutDuration.histogramVec(labels),
	}
}

// Cached records that the cache has all DisaggregatedSets and scalers. Before, there are no metrics of them.
func (d *DisaggregatedSets) Cached() { d.cached.Store(true) }

// RolledOut records the duration of a rollout that has ended.
func (d *DisaggregatedSets) RolledOut(set types.NamespacedName, took time.Duration) {
	d.updates.WithLabelValues(d.labels(set)...).Observe(took.Seconds())
}

// Forget drops the histogram of a deleted set. A histogram of all sets keeps what it has.
func (d *DisaggregatedSets) Forget(set types.NamespacedName) {
	if d.perSet {
		d.starting.Lock()
		defer d.starting.Unlock()
		d.updates.DeleteLabelValues(d.labels(set)...)
	}
}

// Refused counts a write that the API server refused.
func (d *DisaggregatedSets) Refused(resource string, verb apply.Verb, reason string) {
	d.refused(resource, verb, reason)
}

// labels returns the values of the histogram's labels.
func (d *DisaggregatedSets) labels(set types.NamespacedName) []string {
	if !d.perSet {
		return nil
	}
	return []string{set.Namespace, set.Name}
}

// dsetDescs are the descriptions of the gauges.
var dsetDescs = describe(dsetSpecSlices, dsetSpecReplicas, dsetReplicas, dsetReady, dsetUpdated, dsetCondition,
	dsetGeneration, dsetObserved, dsetCreated, dsetRolloutStart)

// Describe implements [prometheus.Collector].
func (d *DisaggregatedSets) Describe(descriptions chan<- *prometheus.Desc) {
	for _, desc := range dsetDescs {
		descriptions <- desc
	}
	d.updates.Describe(descriptions)
}

// Collect implements [prometheus.Collector].
func (d *DisaggregatedSets) Collect(collected chan<- prometheus.Metric) {
	if !d.cached.Load() {
		return
	}
	sets, scaled, err := d.read()
	if err != nil {
		collected <- prometheus.NewInvalidMetric(dsetDescs[dsetSpecSlices], err)
		return
	}
	d.updates.Collect(collected)
	for i := range sets {
		collectDisaggregatedSet(collected, &sets[i], scaled)
	}
}

// read returns the sets, and the groups that each scaler asks for. The histogram of a set begins at zero: Prometheus
// can't see that a series which begins at 1 has increased.
func (d *DisaggregatedSets) read() (
	[]disaggregatedsetv1.DisaggregatedSet, map[types.NamespacedName]int32, error,
) {
	within, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	d.starting.Lock()
	defer d.starting.Unlock()
	var list disaggregatedsetv1.DisaggregatedSetList
	var scalers disaggregatedsetv1.DisaggregatedSetRoleScalerList
	if err := errors.Join(d.reader.List(within, &list, client.UnsafeDisableDeepCopy),
		d.reader.List(within, &scalers, client.UnsafeDisableDeepCopy)); err != nil {
		return nil, nil, err
	}
	scaled := map[types.NamespacedName]int32{}
	for i := range scalers.Items {
		scaled[client.ObjectKeyFromObject(&scalers.Items[i])] = scalers.Items[i].Spec.Replicas
	}
	for i := range list.Items {
		d.updates.WithLabelValues(d.labels(client.ObjectKeyFromObject(&list.Items[i]))...)
	}
	return list.Items, scaled, nil
}

// collectDisaggregatedSet collects the state of one set. scaled has the groups that each scaler asks for.
func collectDisaggregatedSet(
	collected chan<- prometheus.Metric, set *disaggregatedsetv1.DisaggregatedSet, scaled map[types.NamespacedName]int32,
) {
	send := func(of *definition, value float64, labels ...string) {
		labels = append([]string{set.Namespace, set.Name}, labels...)
		collected <- prometheus.MustNewConstMetric(dsetDescs[of], prometheus.GaugeValue, value, labels...)
	}
	send(dsetSpecSlices, float64(*set.Spec.Slices))
	for i := range set.Spec.Roles {
		role := &set.Spec.Roles[i]
		replicas := *role.Spec.Replicas
		if role.IsExternal() {
			key := types.NamespacedName{Namespace: set.Namespace, Name: identity.Scaler(set.Name, role.Name)}
			replicas = scaled[key]
		}
		send(dsetSpecReplicas, float64(replicas**set.Spec.Slices), role.Name)
	}
	for _, role := range set.Status.RoleStatuses {
		send(dsetReplicas, float64(role.Replicas), role.Name)
		send(dsetReady, float64(role.ReadyReplicas), role.Name)
		send(dsetUpdated, float64(role.UpdatedReplicas), role.Name)
	}
	for _, kind := range conditions {
		value := 0.0
		if meta.IsStatusConditionTrue(set.Status.Conditions, kind) {
			value = 1
		}
		send(dsetCondition, value, kind)
	}
	send(dsetGeneration, float64(set.Generation))
	send(dsetObserved, float64(set.Status.ObservedGeneration))
	send(dsetCreated, float64(set.CreationTimestamp.Unix()))
	updating := meta.FindStatusCondition(set.Status.Conditions, disaggregatedsetv1.ConditionUpdateInProgress)
	if updating != nil && updating.Status == metav1.ConditionTrue {
		send(dsetRolloutStart, float64(updating.LastTransitionTime.Unix()))
	}
}
