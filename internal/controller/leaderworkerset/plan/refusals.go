// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// missingLeaders decides on the leaders that the StatefulSet controller has yet to create.
func missingLeaders(set *snapshot.Set, memory *Memory, now time.Time, options *Options) refusal.Decision {
	in := refusal.Input{
		Memory: memory.Missing, Unknown: memory.Unknown, FreedAt: memory.FreedAt, Now: now, Options: options.Refusals,
	}
	leaders := set.OwnLeaders()
	return refusal.Next(in.With(leaders, notDeferred(leaders, set.MissingLeaders()), set.MissingPods))
}

// notDeferred returns the missing leaders that the StatefulSet controller can create: those below the lowest group that
// is deferred. The webhook rejects that one, and the controller stops at it.
func notDeferred(leaders *appsv1.StatefulSet, missing []int32) []int32 {
	if leaders == nil {
		return missing
	}
	deferred := release.Of(leaders).Deferred
	if len(deferred) == 0 {
		return missing
	}
	return slices.DeleteFunc(missing, func(index int32) bool { return index >= slices.Min(deferred) })
}

// surplusLeaders returns the leaders beyond the replicas of the leader StatefulSet, highest first, while its controller
// may be unable to delete them: a missing leader that it can't create ends its passes before. The pods of surplus
// groups may take up the room that the leader lacks.
//
// Claims that are deleted with a scale-down are marked by that controller first, so their leaders are left to it.
func surplusLeaders(set *snapshot.Set, missing *refusal.Decision) []write.Object {
	leaders := set.OwnLeaders()
	isStuck := missing.Stalled || len(missing.Refused) > 0 || (leaders != nil && len(release.Of(leaders).Deferred) > 0)
	if leaders == nil || !isStuck ||
		leaders.Status.ObservedGeneration < leaders.Generation || deletesClaims(leaders) {
		return nil
	}
	var surplus []write.Object
	for _, group := range slices.Backward(set.Groups) {
		if group.Index >= ptr.Deref(leaders.Spec.Replicas, 1) && !group.Terminating() {
			surplus = append(surplus, group.Leader)
		}
	}
	return surplus
}

// deletesClaims reports whether a scale-down deletes volume claims.
func deletesClaims(leaders *appsv1.StatefulSet) bool {
	policy := leaders.Spec.PersistentVolumeClaimRetentionPolicy
	return len(leaders.Spec.VolumeClaimTemplates) > 0 && policy != nil &&
		policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// refusals reports the pods that the API server refuses, why the rollout is held, and the pod that has the name of a
// missing leader.
func refusals(set *snapshot.Set, missing *refusal.Decision, released *release.Decision) []status.Obstacle {
	byGroup := map[int32]string{}
	maps.Copy(byGroup, missing.Refused)
	for _, group := range set.Groups {
		if refused := group.RefusedWorkers(); refused != "" {
			byGroup[group.Index] = refused
		}
	}
	var obstacles []status.Obstacle
	for _, index := range slices.Sorted(maps.Keys(byGroup)) {
		obstacles = append(obstacles, status.Obstacle{
			Group: index, Reason: leaderworkersetv1.ReasonFailedCreate, Message: byGroup[index], Refusal: true,
		})
	}
	if released.Refusal != "" {
		obstacles = append(obstacles, status.Obstacle{
			Group: status.WholeSet, Reason: leaderworkersetv1.ReasonFailedCreate, Message: released.Refusal, Refusal: true,
		})
	}
	if indices := set.MissingLeaders(); missing.InTheWay != "" && len(indices) > 0 {
		obstacles = append(obstacles, status.Obstacle{
			Group:   indices[0],
			Reason:  leaderworkersetv1.ReasonFailedCreate,
			Message: fmt.Sprintf("group %d: %s", indices[0], missing.InTheWay),
		})
	}
	return obstacles
}
