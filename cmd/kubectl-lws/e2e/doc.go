// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests every verb of kubectl lws on a real control plane with the operator. Nodes are simulated.
package e2e
