// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// UnreadyCounts returns how many of the groups that the spec asks for aren't ready, by reason. The status lists a few
// of them; here all count. The cost doesn't grow with groups that don't exist yet.
func UnreadyCounts(in Input) map[leaderworkersetv1.UnreadyReason]int32 {
	counts, missing := map[leaderworkersetv1.UnreadyReason]int32{}, *in.Set.LWS.Spec.Replicas
	existing := make(map[int32]snapshot.Group, 1)
	for _, group := range in.Set.Groups {
		if group.Index >= *in.Set.LWS.Spec.Replicas {
			continue
		}
		missing--
		clear(existing)
		existing[group.Index] = group
		reason, _ := why(in, group.Index, existing, entryOf(in.Set.LWS.Status.UnreadyGroups, group.Index))
		if reason != "" {
			counts[reason]++
		}
	}
	if missing > 0 {
		counts[leaderworkersetv1.UnreadyMissing] = missing
	}
	return counts
}
