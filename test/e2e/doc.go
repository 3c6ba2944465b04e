// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests how the operator behaves in a cluster. The API server, the StatefulSet controller, the garbage
// collector, the autoscaler and the scheduler are the real ones.
//
// By default, the tests start a local cluster with simulated nodes and run the operator beside it. With E2E_KUBECONFIG
// they use the cluster of that kubeconfig, where the operator has to be installed. The tests named TestLocal… need the
// operator's process, metrics and audit trail. They run only in the local cluster.
package e2e
