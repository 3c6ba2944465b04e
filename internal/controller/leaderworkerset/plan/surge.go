// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// maxQuoted bounds what an event quotes of a status, in bytes. An event takes 1024.
const maxQuoted = 700

// surgeEvents is one event for the surge groups that give way. It names a group that lacks room, and quotes what the
// status says of that group.
func surgeEvents(
	lws *leaderworkersetv1.LeaderWorkerSet, released *release.Decision, reported []leaderworkersetv1.UnreadyGroup,
	now time.Time,
) []write.Event {
	if len(released.Reclaimed) == 0 {
		return nil
	}
	lacking := status.Groups([]int32{released.LacksRoom})
	switch {
	case slices.Equal(released.Reclaimed, []int32{released.LacksRoom}):
		lacking = "it"
	case released.LacksRoom >= *lws.Spec.Replicas:
		lacking = status.SurgeGroups([]int32{released.LacksRoom})
	}
	at := slices.IndexFunc(reported, func(group leaderworkersetv1.UnreadyGroup) bool {
		return group.Index == released.LacksRoom
	})
	if at >= 0 {
		lacking += fmt.Sprintf(" (%s: %s)", reported[at].Reason, snapshot.Shortened(reported[at].Message, maxQuoted))
	}
	held := released.Holds.Surge.Until.Sub(now).Round(time.Second)
	return []write.Event{{
		Type: corev1.EventTypeNormal, Reason: leaderworkersetv1.ReasonSurgeGaveWay, Action: "ScaleDown",
		Note: fmt.Sprintf("Removing %s: there is no room for %s; no surge group is added for %s",
			status.SurgeGroups(released.Reclaimed), lacking, held),
	}}
}
