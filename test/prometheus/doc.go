// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package prometheus tests the alerts of config/prometheus with the engine and the rule manager of Prometheus, as
// promtool does: promtool's own function is in a program and can't be imported.
package prometheus
