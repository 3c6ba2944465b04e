// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests what only real nodes show: the operator as pods, pods that reach each other by name, containers that crash, grace periods,
// nodes that lose power. It runs in any cluster, the one of the nodes package or another, whose kubeconfig and registry it is given.
package e2e
