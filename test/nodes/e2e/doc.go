// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e has the tests that need real nodes. They cover the operator in pods, pods that reach each other by name,
// crashes of containers, grace periods, drained nodes, and nodes that lose power. The flags name the kubeconfig and the
// registry. The cluster may be the one of the nodes package or any other.
package e2e
