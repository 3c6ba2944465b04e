// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the operator's bundle and catalog with the Operator Lifecycle Manager (OLM): installation, upgrades
// while groups run, removal. The flags name the kubeconfig and the registry. Any cluster with OLM will do.
package e2e
