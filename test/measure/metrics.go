// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Reconciles is the metric of controller-runtime that counts passes of reconcilers since the start of the process.
const Reconciles = "controller_runtime_reconcile_total"

// Sum returns the sum of a counter or gauge over all its labels, in metrics in Prometheus' text format. It returns 0 if
// there is no metric of that name.
func Sum(metrics, name string) (float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metrics))
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, metric := range families[name].GetMetric() {
		sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	return sum, nil
}
