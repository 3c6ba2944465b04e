// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// surplusGroups returns the groups beyond the replicas of the leader StatefulSet, highest first, while its controller
// may be unable to delete their leaders: a missing leader that it can't create ends its passes before. The pods of
// surplus groups may take up the room that the missing leader lacks.
func surplusGroups(set *snapshot.Set, missing *refusal.Decision) []snapshot.Group {
	leaders := set.OwnLeaders()
	if leaders == nil || leaders.Status.ObservedGeneration < leaders.Generation {
		return nil
	}
	if !missing.Stalled && len(missing.Refused) == 0 && len(release.Of(leaders).Deferred) == 0 {
		return nil
	}
	surplus := set.SurplusGroups()
	slices.Reverse(surplus)
	return surplus
}

// surplusLeaders returns the leaders of surplus groups, to be deleted.
func surplusLeaders(surplus []snapshot.Group) []write.Object {
	leaders := make([]write.Object, len(surplus))
	for i, group := range surplus {
		leaders[i] = group.Leader
	}
	return leaders
}

// surplusClaims makes the leaders of surplus groups the owners of volume claims that are deleted with them. The
// StatefulSet controller does the same before it scales down. It leaves claims alone that somebody else controls.
func surplusClaims(set *snapshot.Set, surplus []snapshot.Group) []write.Write {
	leaders := set.OwnLeaders()
	var writes []write.Write
	for _, group := range surplus {
		owner := metav1.NewControllerRef(group.Leader, corev1.SchemeGroupVersion.WithKind("Pod"))
		for _, claim := range group.Claims {
			controller := metav1.GetControllerOf(claim)
			if controller != nil && controller.UID != leaders.UID {
				continue // It may be the leader already.
			}
			owned := claim.DeepCopy()
			owned.OwnerReferences = slices.DeleteFunc(owned.OwnerReferences, func(owner metav1.OwnerReference) bool {
				return owner.UID == leaders.UID || owner.UID == group.Leader.UID
			})
			owned.OwnerReferences = append(owned.OwnerReferences, *owner)
			writes = append(writes, write.Write{
				Patch: &write.Patch{From: claim, To: owned}, If: write.SameVersion, OwnerMustLive: owner,
				Reason: "persistentVolumeClaimRetentionPolicy deletes it with its scaled-down leader",
			})
		}
	}
	return writes
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
