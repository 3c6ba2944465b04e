// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRolloutBroken updates sets to images that never become ready. The rollout keeps the budget, and a good image
// repairs all groups.
func TestRolloutBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"all old groups": {
			replicas: 4, size: 2, manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withImage(badImage)},
			steps:    []step{untilCreated(3, badImage), update(withImage(nextImage)), untilComplete},
			restarts: []span{once, once, once, once},
		},
		"all old groups, maxSurge 1": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"},
			manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withImage(badImage)},
			steps:    []step{untilCreated(2, badImage), update(withImage(nextImage)), untilComplete},
			restarts: []span{once, once, once, never},
		},
		"a bad image, then a good one": {
			replicas: 4, size: 2, fewestReady: 3,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(3, badImage), untilUnchanged, update(withImage(nextImage)),
				untilComplete,
			},
			restarts: []span{once, once, once, twice},
		},
		"a bad image, and an old group loses its leader": {
			replicas: 4, size: 2,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(3, badImage), losePod(0, 0), untilRestored(0),
				untilUnchanged,
				update(withImage(nextImage)), untilComplete,
			},
			restarts: []span{twice, once, once, twice},
		},
		"a bad image, then back": {
			replicas: 4, size: 2, fewestReady: 3,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(3, badImage), untilUnchanged, update(withImage(image)),
				untilComplete,
			},
			restarts: []span{never, never, never, twice},
		},
		"a bad image, maxUnavailable 50%": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "50%"}, fewestReady: 2,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(2, badImage), untilUnchanged, update(withImage(nextImage)),
				untilComplete,
			},
			restarts: []span{once, once, twice, twice},
		},
		"a bad image, one group, maxSurge 1": {
			replicas: 1, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 1,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(1, badImage), untilUnchanged, update(withImage(nextImage)),
				untilComplete,
			},
			restarts: []span{once, once},
		},
		"a bad image, maxSurge 1, then back": {
			replicas: 2, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 2,
			steps: []step{
				untilComplete, update(withImage(badImage)), untilCreated(2, badImage), untilUnchanged, update(withImage(image)),
				untilComplete,
			},
			restarts: []span{never, never, atMostOnce},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// TestLocalRolloutOneBroken breaks one group, or as many as the budget allows, among ready ones. The broken groups use
// up the budget. The operator updates them first, whatever their index, and only then releases the others.
func TestLocalRolloutOneBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"the lowest": {
			replicas: 4, size: 2, fewestReady: 3,
			steps:    []step{untilComplete, breakGroup(0), update(withImage(nextImage)), untilComplete},
			restarts: []span{once, once, once, once},
		},
		"in the middle": {
			replicas: 5, size: 3, fewestReady: 4,
			steps:    []step{untilComplete, breakGroup(2), update(withImage(nextImage)), untilComplete},
			restarts: []span{once, once, once, once, once},
		},
		"the lowest two of maxUnavailable 2": {
			replicas: 5, size: 2, budget: budget{maxUnavailable: "2"}, fewestReady: 3,
			steps:    []step{untilComplete, breakGroup(0), breakGroup(1), update(withImage(nextImage)), untilComplete},
			restarts: []span{once, once, once, once, once},
		},
		"the lowest, maxSurge 1": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 2,
			steps:    []step{untilComplete, breakGroup(0), update(withImage(nextImage)), untilComplete},
			restarts: []span{once, once, once, never},
		},
		"one of a canary": {
			replicas: 6, size: 2, fewestReady: 5, manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withPartition(4)},
			steps: []step{
				untilComplete, update(withImage(nextImage)), untilComplete, breakGroup(4),
				update(withImage(lastImage), withPartition(0)), untilComplete,
			},
			restarts: []span{once, once, once, once, twice, twice},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// breakGroup makes the last pod of a group unready while it runs, and waits until the status reports the group.
func breakGroup(index int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		leader := r.film.current(t).groups[index].leader
		r.film.disturbed[leader.UID] = true
		names := groupNames(r.lws.Name, int32(index), int32(groupSize(leader))) //nolint:gosec // Small numbers.
		last := names[len(names)-1]
		crash(t, loseReadiness, r.film.pods.current(t)[last])
		eventually(t, func(ctx context.Context) error {
			if err := suite.client.Get(ctx, client.ObjectKeyFromObject(r.lws), r.lws); err != nil {
				return err
			}
			isUnready := func(group leaderworkersetv1.UnreadyGroup) bool { return int(group.Index) == index }
			return unless(slices.ContainsFunc(r.lws.Status.UnreadyGroups, isUnready), "group %d still counts as ready", index)
		})
	}
}

// loseReadiness sets the status of a pod that runs but isn't ready.
func loseReadiness(status *corev1.PodStatus) {
	for i := range status.Conditions {
		if condition := &status.Conditions[i]; condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
			condition.Status, condition.Reason = corev1.ConditionFalse, "ContainersNotReady"
		}
	}
}
