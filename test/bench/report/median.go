// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"

	"k8s.io/utils/ptr"
)

// Medians returns the report with one result for each key: the medians of the figures of all runs. What a run shows of
// the worst stays the worst of all runs. A scenario that one of the runs hasn't finished isn't finished.
func (r *Report) Medians() *Report {
	var order []Key
	runs := map[Key][]Result{}
	for i := range r.Results {
		key := r.Results[i].Key
		if runs[key] == nil {
			order = append(order, key)
		}
		runs[key] = append(runs[key], r.Results[i])
	}
	medians := *r
	medians.Results = make([]Result, len(order))
	for i, key := range order {
		medians.Results[i] = medianOf(runs[key])
	}
	return &medians
}

// medianOf returns the medians of the figures of results with the same key.
func medianOf(results []Result) Result {
	for i := range results {
		if results[i].Error != "" {
			return results[i]
		}
	}
	of := func(figure func(*Result) float64) float64 {
		values := make([]float64, len(results))
		for i := range results {
			values[i] = figure(&results[i])
		}
		return median(values)
	}
	counts := func(figure func(*Result) map[string]int) map[string]int { return medianCounts(results, figure) }
	m := Result{
		Key:               results[0].Key,
		Runs:              len(results),
		Seconds:           of(func(r *Result) float64 { return r.Seconds }),
		StatusSeconds:     of(func(r *Result) float64 { return r.StatusSeconds }),
		MarkedSeconds:     of(func(r *Result) float64 { return r.MarkedSeconds }),
		CPUSeconds:        of(func(r *Result) float64 { return r.CPUSeconds }),
		ClusterCPUSeconds: of(func(r *Result) float64 { return r.ClusterCPUSeconds }),
		ResidentMiB:       of(func(r *Result) float64 { return r.ResidentMiB }),
		AnonymousMiB:      of(func(r *Result) float64 { return r.AnonymousMiB }),
		PeakMiB:           of(func(r *Result) float64 { return r.PeakMiB }),
		Writes:            counts(func(r *Result) map[string]int { return r.Writes }),
		Reads:             counts(func(r *Result) map[string]int { return r.Reads }),
		FailedWrites:      counts(func(r *Result) map[string]int { return r.FailedWrites }),
	}
	if results[0].Passes != nil {
		m.Passes = ptr.To(of(func(r *Result) float64 { return ptr.Deref(r.Passes, 0) }))
	}
	for _, sender := range Senders() {
		sent := counts(func(r *Result) map[string]int { return r.ClusterRequests[sender] })
		if sent != nil {
			m.addClusterRequests(sender, sent)
		}
	}
	m.keepWorst(results)
	return m
}

// addClusterRequests adds the requests of a sender.
func (r *Result) addClusterRequests(sender string, requests map[string]int) {
	if r.ClusterRequests == nil {
		r.ClusterRequests = map[string]map[string]int{}
	}
	r.ClusterRequests[sender] = requests
}

// keepWorst sets the slowest and the fastest run, and the figures of which the median hides what matters.
func (r *Result) keepWorst(results []Result) {
	r.Fastest, r.Slowest = results[0].Seconds, results[0].Seconds
	for i := range results {
		other := &results[i]
		r.Fastest, r.Slowest = min(r.Fastest, other.Seconds), max(r.Slowest, other.Seconds)
		if fewest := other.FewestReady; fewest != nil && (r.FewestReady == nil || *fewest < *r.FewestReady) {
			r.FewestReady = fewest
		}
		if other.Restarts == nil {
			continue
		}
		if r.Restarts == nil {
			r.Restarts = ptr.To(*other.Restarts)
			continue
		}
		r.Restarts.Restarted = min(r.Restarts.Restarted, other.Restarts.Restarted)
		r.Restarts.Again = max(r.Restarts.Again, other.Restarts.Again)
		r.Restarts.Others = max(r.Restarts.Others, other.Restarts.Others)
	}
}

// medianCounts returns the median of each count, without zeros. It returns nil if no result has any counts.
func medianCounts(results []Result, of func(*Result) map[string]int) map[string]int {
	values := map[string][]float64{}
	counted := false
	for i := range results {
		counts := of(&results[i])
		counted = counted || counts != nil
		for name, count := range counts {
			if values[name] == nil {
				values[name] = make([]float64, len(results))
			}
			values[name][i] = float64(count)
		}
	}
	if !counted {
		return nil
	}
	medians := map[string]int{}
	for name := range values {
		if count := int(median(values[name])); count > 0 {
			medians[name] = count
		}
	}
	return medians
}

// median returns the middle value, or the mean of the two middle values.
func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
