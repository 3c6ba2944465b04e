// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct{ what, got, want string }{
		{"leader StatefulSet", identity.LeaderStatefulSet("llama"), "llama"},
		{"leader", identity.Leader("llama", 2), "llama-2"},
		{"worker StatefulSet", identity.WorkerStatefulSet("llama", 2), "llama-2"},
		{"worker", identity.Worker("llama-2", 3), "llama-2-3"},
		{"shared service", identity.Service("llama", 2, leaderworkersetv1.SubdomainShared), "llama"},
		{"service of a group", identity.Service("llama", 2, leaderworkersetv1.SubdomainUniquePerReplica), "llama-2"},
		{"service without a policy", identity.Service("llama", 2, ""), "llama"},
		{"leader address", identity.LeaderAddress("llama-2", "llama", "default"), "llama-2.llama.default"},
		// printf default/llama-2 | sha1sum
		{"group key", identity.GroupKey("default", "llama-2"), "d994a12f48bbd72c7f39814f41b580bf77128a71"},
		// printf llama-2/1 | sha1sum
		{"subgroup key", identity.SubGroupKey("llama-2", 1), "af7441d804f456593a4122ea2632bdfb5ce80a5a"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.what, tc.got, tc.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name    string
		parent  string
		ordinal int32
		ok      bool
	}{
		{"a-0", "a", 0, true},
		{"a-0-12", "a-0", 12, true},
		{"a-2147483647", "a", 2147483647, true},
		{"a-2147483648", "", 0, false},
		{"a", "", 0, false},
		{"a-", "", 0, false},
		{"-1", "", 0, false},
		{"a-01", "", 0, false},
		{"a-+1", "", 0, false},
		{"a-x", "", 0, false},
		{"", "", 0, false},
	} {
		parent, ordinal, ok := identity.Parse(tc.name)
		if parent != tc.parent || ordinal != tc.ordinal || ok != tc.ok {
			t.Errorf("Parse(%q) = %q, %d, %v; want %q, %d, %v", tc.name, parent, ordinal, ok, tc.parent, tc.ordinal, tc.ok)
		}
	}
}

// FuzzParse checks that parsing a name is the inverse of building it.
func FuzzParse(f *testing.F) {
	f.Add("llama", int32(0))
	f.Add("a-0", int32(7))
	f.Add("", int32(-1))
	f.Fuzz(func(t *testing.T, parent string, ordinal int32) {
		name := identity.Worker(parent, ordinal)
		gotParent, gotOrdinal, ok := identity.Parse(name)
		if valid := parent != "" && ordinal >= 0; !valid {
			return // The name of a negative ordinal is that of another parent's child: "a" and -1 give "a--1".
		}
		if !ok || gotParent != parent || gotOrdinal != ordinal {
			t.Errorf("Parse(%q) = %q, %d, %v; want %q, %d", name, gotParent, gotOrdinal, ok, parent, ordinal)
		}
	})
}

func TestParseIndex(t *testing.T) {
	for value, want := range map[string]int32{"0": 0, "17": 17, "-1": -1, "": -1, "x": -1, "4294967296": -1} {
		index, ok := identity.ParseIndex(value)
		if ok != (want >= 0) || (ok && index != want) {
			t.Errorf("ParseIndex(%q) = %d, %v; want %d", value, index, ok, want)
		}
	}
}

// TestSubGroupIndex checks every shape of small groups. Subgroups are contiguous and have subGroupSize pods each. The
// leader is an extra pod of the first one if the size asks for that.
func TestSubGroupIndex(t *testing.T) {
	const leaderWorker = leaderworkersetv1.SubGroupPolicyTypeLeaderWorker
	const excluded = leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded
	for size := int32(1); size <= 24; size++ {
		for sub := int32(1); sub <= size; sub++ {
			for _, policy := range []leaderworkersetv1.SubGroupPolicyType{leaderWorker, excluded} {
				if (size-1)%sub != 0 && (policy == excluded || size%sub != 0) {
					continue // Refused by the API.
				}
				members := map[int32]int32{}
				last := int32(0)
				for worker := range size {
					index, ok := identity.SubGroupIndex(size, sub, worker, policy)
					if !ok {
						if worker != 0 || policy != excluded {
							t.Errorf("size %d, subGroupSize %d, %s: pod %d is in no subgroup", size, sub, policy, worker)
						}
						continue
					}
					if index < last || index > last+1 {
						t.Errorf("size %d, subGroupSize %d, %s: pod %d is in subgroup %d after %d",
							size, sub, policy, worker, index, last)
					}
					last = index
					members[index]++
				}
				for index, got := range members {
					want := sub
					if index == 0 && policy == leaderWorker && size%sub != 0 {
						want = sub + 1
					}
					if size == 1 {
						want = 1
					}
					if got != want {
						t.Errorf("size %d, subGroupSize %d, %s: subgroup %d has %d pods, want %d",
							size, sub, policy, index, got, want)
					}
				}
			}
		}
	}
	if _, ok := identity.SubGroupIndex(4, 0, 1, leaderWorker); ok {
		t.Error("subGroupSize 0 must not be a subgroup")
	}
}
