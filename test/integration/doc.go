// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package integration tests the API on a real API server. It tests the CustomResourceDefinition with its defaults and
// rules. It also tests the operator's webhooks, with the configurations, the objectSelector and the RBAC rules of
// config/default. There are no controllers. Most tests run with and without the webhooks, because the schema's rules
// must hold while the operator is down.
//
//	go test ./test/integration/...
package integration
