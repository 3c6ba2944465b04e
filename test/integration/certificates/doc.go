// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package certificates tests how the operator creates and renews the certificate of its webhooks. The tests run two
// replicas, with the permissions of config/default, on a real API server that calls the webhooks. There are no
// controllers, and the tests control the clock.
//
//	go test ./test/integration/certificates
package certificates
