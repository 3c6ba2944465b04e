// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests what the Operator Lifecycle Manager (OLM) does with the operator's bundle and catalog: installs, upgrades while groups
// run, removal. It runs in any cluster with OLM in it whose kubeconfig and registry it is given.
package e2e
