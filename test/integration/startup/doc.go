// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package startup tests how the operator's program starts, on a real API server that has nothing installed at first.
package startup
