// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package gitops tests what GitOps tools say of LeaderWorkerSets. Its tests run the health checks of config/gitops, and
// kstatus, on the statuses in testdata. Those are the operator's own: a test of the package status writes them, and
// fails if they differ.
package gitops
