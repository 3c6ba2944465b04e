// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package identity knows the names of everything that a LeaderWorkerSet consists of, and reads them back. It is a leaf:
// pure functions over strings and numbers.
package identity

import (
	"crypto/sha1" //nolint:gosec // A fixed-length name, not a secret: the contract's keys are SHA-1.
	"encoding/hex"
	"strconv"
	"strings"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// LeaderStatefulSet returns the name of the StatefulSet of the leader pods.
func LeaderStatefulSet(set string) string { return set }

// Leader returns the name of the leader pod of a group. The group's worker StatefulSet has the same name.
func Leader(set string, group int32) string { return child(set, group) }

// WorkerStatefulSet returns the name of the StatefulSet of a group's workers.
func WorkerStatefulSet(set string, group int32) string { return child(set, group) }

// Worker returns the name of the pod with the given worker index, 1…size-1, in the group of the leader.
func Worker(leader string, worker int32) string { return child(leader, worker) }

// Service returns the name of the headless Service that resolves the pods of a group. It is the pods' subdomain as
// well.
func Service(set string, group int32, policy leaderworkersetv1.SubdomainPolicy) string {
	if policy == leaderworkersetv1.SubdomainUniquePerReplica {
		return child(set, group)
	}
	return set
}

// LeaderAddress returns the DNS name of a leader pod, without the cluster's domain.
func LeaderAddress(leader, subdomain, namespace string) string {
	return leader + "." + subdomain + "." + namespace
}

// Parse splits the name of a StatefulSet's pod, or of a group, into its parent's name and its ordinal. ok is false for
// a name that no such child can have: "a", "a-", "a-01", "-1", or an ordinal beyond 2147483647.
func Parse(name string) (parent string, ordinal int32, ok bool) {
	dash := strings.LastIndexByte(name, '-')
	if dash <= 0 {
		return "", 0, false
	}
	parent, digits := name[:dash], name[dash+1:]
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != digits {
		return "", 0, false
	}
	return parent, int32(n), true
}

// MaxSetName returns how many characters the name of a set may have, as the CRD's rule does: the longest StatefulSet is
// named after the group with the highest index, and has a name of at most 52 characters. Without workers, there is only
// the leader StatefulSet.
func MaxSetName(size, highest int32) int {
	if size <= 1 {
		return maxStatefulSetName
	}
	return maxStatefulSetName - len(child("", highest))
}

// maxStatefulSetName is the longest name with which a StatefulSet has pods: a label of theirs has 63 characters, and
// contains a dash and up to 10 characters besides.
const maxStatefulSetName = 52

// ParseIndex reads an index, 0…2147483647, from the value of a label or annotation. ok is false for anything else.
func ParseIndex(value string) (index int32, ok bool) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	return int32(n), true
}

// FormatIndex writes an index as the value of a label or annotation.
func FormatIndex(index int32) string { return strconv.FormatInt(int64(index), 10) }

// WorkersOfGroup names the cache's index of worker pods by the name of their leader.
const WorkersOfGroup = "workersOfGroup"

// GroupKey returns the value of the label group-key: unique in the cluster, of fixed length.
func GroupKey(namespace, leader string) string { return sha1Hex(namespace + "/" + leader) }

// SubGroupKey returns the value of the label subgroup-key.
func SubGroupKey(leader string, subGroup int32) string {
	return sha1Hex(leader + "/" + FormatIndex(subGroup))
}

// SubGroupIndex returns the index of the subgroup that a pod is in. ok is false for a leader that is in none. It is
// also false for a subGroupSize below 1, which sets may have that were stored before it was refused.
//
// Worked example, size 5 and subGroupSize 2: 5-1 is divisible by 2 and 5 is not, so the leader is an extra member of
// subgroup 0, which is pods 0, 1 and 2; subgroup 1 is pods 3 and 4. With size 4: subgroup 0 is pods 0 and 1, subgroup 1
// pods 2 and 3. With size 5 and LeaderExcluded: subgroup 0 is pods 1 and 2, subgroup 1 pods 3 and 4.
func SubGroupIndex(
	size, subGroupSize, worker int32, policy leaderworkersetv1.SubGroupPolicyType,
) (index int32, ok bool) {
	if subGroupSize < 1 {
		return 0, false
	}
	excluded := policy == leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded
	switch {
	case worker == 0:
		return 0, !excluded
	case excluded || LeaderIsExtra(size, subGroupSize):
		return (worker - 1) / subGroupSize, true
	default:
		return worker / subGroupSize, true
	}
}

// LeaderIsExtra reports whether the leader comes on top of the subGroupSize workers of subgroup 0: size-1 is divisible
// by subGroupSize, and size is not.
func LeaderIsExtra(size, subGroupSize int32) bool {
	return (size-1)%subGroupSize == 0 && size%subGroupSize != 0
}

func child(parent string, ordinal int32) string { return parent + "-" + FormatIndex(ordinal) }

func sha1Hex(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // See the import.
	return hex.EncodeToString(sum[:])
}
