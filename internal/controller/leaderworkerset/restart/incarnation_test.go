// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
)

// TestFingerprintIsStable pins a fingerprint. An operator of another version has to compute the same.
func TestFingerprintIsStable(t *testing.T) {
	const leader = "0d3c6a62-5d0e-4b63-a9a2-b7d6b5a3b6b1"
	members := map[int32]restart.Member{0: {UID: leader}, 1: {UID: "5f4bd7a0-9a33-4e8b-8b52-0e5c5c1c3a11", Restarts: 12}}
	if got, want := restart.Fingerprint(leader, members), "752cca9f-c9e6a3e9fdba648a"; got != want {
		t.Errorf("fingerprint: got %s, want %s", got, want)
	}
}
