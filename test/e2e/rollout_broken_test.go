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

// TestRolloutBroken has images that never become ready. They take no more groups down than the budget allows, and a good one repairs
// them all.
func TestRolloutBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"all old groups": {
			replicas: 4, size: 2, manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withImage(badImage)},
			steps:    []step{updating(3, badImage), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, once},
		},
		"all old groups, maxSurge 1": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"},
			manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withImage(badImage)},
			steps:    []step{updating(2, badImage), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, never},
		},
		"a bad image, then a good one": {
			replicas: 4, size: 2, fewestReady: 3,
			steps:    []step{settled, update(withImage(badImage)), updating(3, badImage), holdsStill, update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, twice},
		},
		"a bad image, and an old group loses its leader": {
			replicas: 4, size: 2,
			steps: []step{
				settled, update(withImage(badImage)), updating(3, badImage), loses(0, 0), regains(0), holdsStill,
				update(withImage(nextImage)), settled,
			},
			restarts: []span{twice, once, once, twice},
		},
		"a bad image, then back": {
			replicas: 4, size: 2, fewestReady: 3,
			steps:    []step{settled, update(withImage(badImage)), updating(3, badImage), holdsStill, update(withImage(image)), settled},
			restarts: []span{never, never, never, twice},
		},
		"a bad image, maxUnavailable 50%": {
			replicas: 4, size: 2, budget: budget{maxUnavailable: "50%"}, fewestReady: 2,
			steps:    []step{settled, update(withImage(badImage)), updating(2, badImage), holdsStill, update(withImage(nextImage)), settled},
			restarts: []span{once, once, twice, twice},
		},
		"a bad image, one group, maxSurge 1": {
			replicas: 1, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 1,
			steps:    []step{settled, update(withImage(badImage)), updating(1, badImage), holdsStill, update(withImage(nextImage)), settled},
			restarts: []span{once, once},
		},
		"a bad image, maxSurge 1, then back": {
			replicas: 2, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 2,
			steps:    []step{settled, update(withImage(badImage)), updating(2, badImage), holdsStill, update(withImage(image)), settled},
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

// TestLocalRolloutOneBroken has a single group broken among ready ones, which takes up the whole budget. It is updated first, wherever it
// is: only then may the others go.
func TestLocalRolloutOneBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]rollout{
		"the lowest": {
			replicas: 4, size: 2, fewestReady: 3,
			steps:    []step{settled, breaks(0), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, once},
		},
		"in the middle": {
			replicas: 5, size: 3, fewestReady: 4,
			steps:    []step{settled, breaks(2), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, once, once},
		},
		"the lowest two of maxUnavailable 2": {
			replicas: 5, size: 2, budget: budget{maxUnavailable: "2"}, fewestReady: 3,
			steps:    []step{settled, breaks(0), breaks(1), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, once, once},
		},
		"the lowest, maxSurge 1": {
			replicas: 3, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "1"}, fewestReady: 2,
			steps:    []step{settled, breaks(0), update(withImage(nextImage)), settled},
			restarts: []span{once, once, once, never},
		},
		"one of a canary": {
			replicas: 6, size: 2, fewestReady: 5, manifest: []func(*leaderworkersetv1.LeaderWorkerSet){withPartition(4)},
			steps: []step{
				settled, update(withImage(nextImage)), settled, breaks(4), update(withImage(lastImage), withPartition(0)), settled,
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

// breaks has the last pod of a group not be ready any more, though it goes on running, and waits until the operator knows.
func breaks(index int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		leader := r.film.current(t).groups[index].leader
		r.film.disturbed[leader.UID] = true
		last := groupNames(r.lws.Name, int32(index), int32(groupSize(leader)))[groupSize(leader)-1] //nolint:gosec // Small numbers.
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

// loseReadiness is the status of a pod that runs, but doesn't serve any more.
func loseReadiness(status *corev1.PodStatus) {
	for i := range status.Conditions {
		if condition := &status.Conditions[i]; condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
			condition.Status, condition.Reason = corev1.ConditionFalse, "ContainersNotReady"
		}
	}
}
