// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package certificates tests how the operator makes and renews the certificate of its webhooks: two replicas of it, with the permissions of
// config/default, on a real API server that calls them. There are no controllers, and the time is the tests'.
//
//	go test ./test/integration/certificates
package certificates
