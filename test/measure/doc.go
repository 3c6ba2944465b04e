// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package measure measures the costs of a controller from outside: its requests in the audit log, the resources of its
// process, and its metrics. The controller needs no change for that.
package measure
