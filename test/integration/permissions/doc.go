// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package permissions tests that the operator needs each right that its roles grant, and no other one. It runs the
// operator's program with the rights of its service account, in a real control plane with simulated nodes. One operator
// has all rights. Each of the other ones lacks a single right.
//
//	go test ./test/integration/permissions
package permissions
