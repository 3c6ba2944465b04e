// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// TestDisaggregatedRollouts rolls out a new image in both roles. In no state has a role fewer ready groups than its
// floor, min(before, after) - maxUnavailable, or more groups than its ceiling, max(before, after) + maxSurge. The rows
// of the contract's tables are passed in their order, but for those that need groups of both roles to be ready at the
// same time.
func TestDisaggregatedRollouts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		before, after      [2]int32
		surge, unavailable int32
		rows               string
		bootstrap          int32 // groups that a role may have above its ceiling, once
	}{
		{[2]int32{8, 4}, [2]int32{8, 4}, 2, 2, "84/00 62/22 00/84", 0},
		{[2]int32{3, 2}, [2]int32{3, 2}, 1, 0, "32/00 32/11 21/11 21/22 11/22 11/32 00/32", 0},
		{[2]int32{4, 4}, [2]int32{4, 4}, 0, 1, "44/00 33/00 33/11 22/11 22/22 11/33 00/33 00/44", 0},
		{[2]int32{2, 4}, [2]int32{4, 2}, 1, 0, "24/00 22/11 11/22 00/32 00/42", 0},
		{[2]int32{1, 5}, [2]int32{1, 5}, 0, 1, "15/00 14/00 14/01 14/11 13/11 13/12 12/12 12/13 11/13 11/14 00/14 00/15", 1},
		{[2]int32{1, 1}, [2]int32{1, 1}, 1, 0, "11/00 11/11 00/11", 0},
	} {
		name := fmt.Sprintf("%v to %v, surge %d, unavailable %d", tc.before, tc.after, tc.surge, tc.unavailable)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			set := newDisaggregated(namespace,
				[]dsetRole{newRole("prefill", tc.before[0]), newRole("decode", tc.before[1])},
				limits(int(tc.surge), int(tc.unavailable)))
			create(t, set)
			untilOnlyCurrent(t, set)
			first, film := set.Status.UpdateRevision, newRoleFilm(t, set)
			edit(t, set, func(s *dset) {
				withRoleImages(nextImage, nextImage)(s)
				for i := range s.Spec.Roles {
					s.Spec.Roles[i].Spec.Replicas = ptr.To(tc.after[i])
				}
			})
			untilOnlyCurrent(t, set)
			states, floor, ceiling := film.states(t, first), map[string]int32{}, map[string]int32{}
			for i, role := range film.roles {
				floor[role] = max(0, min(tc.before[i], tc.after[i])-tc.unavailable)
				ceiling[role] = max(tc.before[i], tc.after[i]) + tc.surge + tc.bootstrap
			}
			film.checkFewest(t, floor)
			film.checkMost(t, ceiling)
			if missed := notPassed(states, strings.Fields(tc.rows)); missed != "" {
				t.Errorf("the state %s is missing in %v", missed, states)
			}
			if t.Failed() {
				state := film.atStart()
				for _, c := range film.soFar(t) {
					c.apply(state)
					t.Log(describe(state))
				}
			}
			t.Logf("%s: floor %v, fewest ready %v, states %v", name, floor, film.fewest(t), states)
		})
	}
}

// notPassed returns the first row that doesn't follow the one before in the states; empty if all do.
func notPassed(states, rows []string) string {
	next := 0
	for _, state := range states {
		if next < len(rows) && state == rows[next] {
			next++
		}
	}
	if next < len(rows) {
		return rows[next]
	}
	return ""
}

// TestDisaggregatedRollback goes back in the middle of a rollout, to a revision whose groups still run in part.
func TestDisaggregatedRollback(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 4), newRole("decode", 2)}, limits(1, 0))
	create(t, set)
	untilOnlyCurrent(t, set)
	first, film := set.Status.UpdateRevision, newRoleFilm(t, set)
	edit(t, set, withRoleImages(nextImage, nextImage))
	film.until(t, func(state childByID) error {
		return unless(!strings.HasPrefix(film.replicas(state, first), "4"), "no group of prefill is replaced yet")
	})
	edit(t, set, withRoleImages(image, image))
	untilOnlyCurrent(t, set)
	check(t, "revision", first, set.Status.UpdateRevision)
	film.checkFewest(t, map[string]int32{"prefill": 4, "decode": 2})
	film.checkMost(t, map[string]int32{"prefill": 5, "decode": 3})
	t.Log(film.states(t, first))
}

// TestDisaggregatedPushes pushes two more revisions and scales while a rollout is under way.
func TestDisaggregatedPushes(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 4), newRole("decode", 4)}, limits(1, 1))
	create(t, set)
	untilOnlyCurrent(t, set)
	first, film := set.Status.UpdateRevision, newRoleFilm(t, set)
	edit(t, set, slowly(1, cluster.ReadyNever))
	film.until(t, func(state childByID) error {
		return unless(!strings.HasSuffix(film.replicas(state, first), "/00"), "no group is new yet")
	})
	edit(t, set, withRoleImages(badImage, nextImage))
	edit(t, set, func(s *dset) { s.Spec.Roles[1].Spec.LeaderWorkerTemplate.WorkerTemplate.Annotations = nil })
	edit(t, set, func(s *dset) { s.Spec.Roles[1].Spec.Replicas = ptr.To[int32](5) })
	edit(t, set, withRoleImages(nextImage, nextImage))
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 4/4, decode 5/5", set.Status.Summary)
	film.checkFewest(t, map[string]int32{"prefill": 3, "decode": 3})
	t.Log(film.states(t, first))
}

// TestLocalDisaggregatedKilled kills the operator again and again during a rollout.
func TestLocalDisaggregatedKilled(t *testing.T) {
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 3), newRole("decode", 2)}, limits(1, 0),
		slowly(0, "1s"))
	create(t, set)
	untilOnlyCurrent(t, set)
	first, film := set.Status.UpdateRevision, newRoleFilm(t, set)
	edit(t, set, withRoleImages(nextImage, nextImage))
	seen := len(film.states(t, first))
	for range 3 {
		film.until(t, func(childByID) error {
			return unless(len(film.states(t, first)) > seen, "the rollout hasn't moved")
		})
		seen = len(film.states(t, first))
		whileKilled(t)
	}
	untilOnlyCurrent(t, set)
	film.checkFewest(t, map[string]int32{"prefill": 3, "decode": 2})
	film.checkMost(t, map[string]int32{"prefill": 4, "decode": 3})
}

// whileKilled ends the operator by SIGKILL, and starts it again.
func whileKilled(t *testing.T) {
	t.Helper()
	if err := suite.operator.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := suite.operator.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// checkMost checks that no role has ever had more groups.
func (f *roleFilm) checkMost(t *testing.T, most map[string]int32) {
	t.Helper()
	state := f.atStart()
	for _, change := range f.soFar(t) {
		change.apply(state)
		for role, ceiling := range most {
			total := int32(0)
			for _, child := range state {
				if child.Labels["disaggregatedset.x-k8s.io/role"] == role {
					total += *child.Spec.Replicas
				}
			}
			if total > ceiling {
				t.Errorf("%s has %d groups, more than %d", role, total, ceiling)
			}
		}
	}
}

// fewest returns the fewest ready groups that each role has had.
func (f *roleFilm) fewest(t *testing.T) map[string]int32 {
	t.Helper()
	state, fewest := f.atStart(), map[string]int32{}
	for _, role := range f.roles {
		fewest[role] = readyOf(state, role)
	}
	for _, change := range f.soFar(t) {
		change.apply(state)
		for _, role := range f.roles {
			fewest[role] = min(fewest[role], readyOf(state, role))
		}
	}
	return fewest
}

// slowly makes the pods of a role ready after a duration.
func slowly(role int, duration string) func(*dset) {
	return func(set *dset) {
		template := &set.Spec.Roles[role].Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, cluster.ReadyAfterAnnotation, duration)
	}
}
