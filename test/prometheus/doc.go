// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package prometheus tests the alerts of config/prometheus and the dashboards of config/grafana with the engine and the
// rule manager of Prometheus. promtool does the same, but its functions are in a program and can't be imported.
package prometheus
