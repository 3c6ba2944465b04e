// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package measure tells from outside what a controller costs: what it asks of the API server, by the audit log, what its process takes,
// and what its metrics say. The controller needs no change for it.
package measure
