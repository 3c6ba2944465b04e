// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/identity"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{identity.Child("llama", 2, "0a1b2c3d", "prefill"), "llama-2-0a1b2c3d-prefill"},
		{identity.ChildWithoutSlice("llama", "0a1b2c3d", "prefill"), "llama-0a1b2c3d-prefill"},
		{identity.App("llama", 2, "prefill"), "llama-2-prefill"},
		{identity.Scaler("llama", "decode"), "llama-decode"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestIsLeftOverService(t *testing.T) {
	for name, want := range map[string]bool{
		"llama-0a1b2c3d-prefill-prv": true, "llama-0-0a1b2c3d-prefill-prv": true,
		"llama-0a1b2c3d-prefill": false, "llama2-0a1b2c3d-prefill-prv": false, "llama": false,
	} {
		if got := identity.IsLeftOverService("llama", name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestMaxSetName compares the maximum with the names themselves.
func TestMaxSetName(t *testing.T) {
	for _, tc := range []struct {
		limit  int
		slices int32
		role   string
	}{{52, 1, "prefill"}, {50, 10, "decode"}, {50, 11, "decode"}, {44, 100, "d"}, {52, 0, "prefill"}} {
		most := identity.MaxSetName(tc.limit, tc.slices, tc.role)
		set := make([]byte, most)
		for i := range set {
			set[i] = 'a'
		}
		longest := identity.Child(string(set), max(tc.slices, 1)-1, "01234567", tc.role)
		if len(longest) != tc.limit {
			t.Errorf("%+v: a set's name of %d characters makes one of %d", tc, most, len(longest))
		}
	}
}
