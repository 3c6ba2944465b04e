// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// budgets are image updates under all kinds of budgets. The rollout uses each budget in full and never exceeds it.
var budgets = map[string]rollout{
	"maxUnavailable 1": {
		replicas: 4, size: 3, budget: budget{maxUnavailable: "1"},
		fewestReady: 3, restarts: []span{once, once, once, once},
	},
	"maxUnavailable 3": {
		replicas: 6, size: 2, budget: budget{maxUnavailable: "3"},
		fewestReady: 3, restarts: []span{once, once, once, once, once, once},
	},
	"maxUnavailable 50%": {
		replicas: 5, size: 3, budget: budget{maxUnavailable: "50%"},
		fewestReady: 3, restarts: []span{once, once, once, once, once},
	},
	"maxSurge 1": {
		replicas: 4, size: 3, budget: budget{maxUnavailable: "0", maxSurge: "1"},
		fewestReady: 4, restarts: []span{once, once, once, once, never},
	},
	"maxSurge 1, maxUnavailable 1": {
		replicas: 4, size: 2, budget: budget{maxUnavailable: "1", maxSurge: "1"},
		fewestReady: 3, restarts: []span{once, once, once, once, never},
	},
	"maxSurge 100%": {
		replicas: 4, size: 2, budget: budget{maxUnavailable: "0", maxSurge: "100%"},
		fewestReady: 4, restarts: []span{once, once, once, once, never, never, never, never},
	},
	"one group, maxSurge 1": {
		replicas: 1, size: 3, budget: budget{maxUnavailable: "0", maxSurge: "1"},
		fewestReady: 1, restarts: []span{once, never},
	},
	"one pod for each group": {
		replicas: 6, size: 1, budget: budget{maxUnavailable: "2"},
		fewestReady: 4, restarts: []span{once, once, once, once, once, once},
	},
}

// TestRollout updates the image of sets whose groups are all ready.
func TestRollout(t *testing.T) {
	t.Parallel()
	runBudgets(t)
}

func runBudgets(t *testing.T) {
	t.Helper()
	for name, test := range budgets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.steps = []step{untilComplete, update(withImage(nextImage)), untilComplete}
			r := test.run(t)
			check(t, "transitions, creation included", transitions{Available: 3, Progressing: 3, UpdateInProgress: 2},
				transitionsOf(t, r.versions))
			untilEvents(t, r.lws, map[string]int{
				leaderworkersetv1.ReasonCreatingRevision:  2,
				leaderworkersetv1.ReasonGroupsProgressing: 2,
				leaderworkersetv1.ReasonGroupsUpdating:    1,
				leaderworkersetv1.ReasonAllGroupsReady:    2,
			})
		})
	}
}
