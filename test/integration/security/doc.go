// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package security tests what the operator may do, and what users can and can't reach through it. It runs the
// operator's program with the rights of its service account, in a real control plane with simulated nodes. Several
// operators run at the same time, in namespaces of their own: one has all rights, and each of the others lacks a single
// one. docs/operate/security.md names the tests of its claims.
//
//	go test ./test/integration/security
package security
