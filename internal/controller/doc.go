// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package controller wires the operator: scheme, cache, client and health checks of the manager, and the Setup of each kind.
//
//	setup.go           what all kinds share
//	apply/             the only writer
//	leaderworkerset/   the reconcilers and webhooks of LeaderWorkerSets
package controller
