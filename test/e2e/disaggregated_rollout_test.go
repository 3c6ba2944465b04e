// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// TestDisaggregatedRollouts makes the rollouts of the contract's tables as groups become ready, without a gate. In no
// state has a role fewer ready groups than its floor, or more groups than its ceiling. At every time, a revision has a
// ready group of each role. The test logs the table of docs/concepts/disaggregated.md.
func TestDisaggregatedRollouts(t *testing.T) {
	t.Parallel()
	measured := make([]string, len(rolloutTables))
	t.Cleanup(func() { t.Logf("the rollouts:\n%s", strings.Join(measured, "\n")) })
	for i, table := range rolloutTables {
		t.Run(table.String(), func(t *testing.T) {
			t.Parallel()
			set := table.newSet(newNamespace(t))
			create(t, set)
			untilOnlyCurrent(t, set)
			first, film := set.Status.UpdateRevision, newRoleFilm(t, set)
			table.rollOut(t, set)
			untilOnlyCurrent(t, set)
			floor, ceiling := table.floor(), table.ceiling()
			film.checkFewest(t, byRole(film.roles, floor))
			film.checkMost(t, byRole(film.roles, ceiling))
			film.checkServes(t)
			if t.Failed() {
				film.each(t, func(state childByID) { t.Log(describe(state)) })
			}
			t.Log(film.states(t, first))
			fewest, ratio := film.fewest(t), film.ratio(t)
			measured[i] = fmt.Sprintf("| %d, %d → %d, %d | %d, %d | %d, %d | %d, %d | %.2f…%.2f | %.2f…%.2f |",
				table.before[0], table.before[1], table.after[0], table.after[1], table.surge, table.unavailable,
				floor[0], floor[1], fewest[film.roles[0]], fewest[film.roles[1]],
				quotient(floor[0], ceiling[1]), quotient(ceiling[0], floor[1]), ratio[0], ratio[1])
		})
	}
}

// floor returns how many groups of each role have to be ready at any time.
func (r *rolloutTable) floor() [2]int32 {
	var floor [2]int32
	for role := range floor {
		floor[role] = max(0, min(r.before[role], r.after[role])-r.unavailable)
	}
	return floor
}

// ceiling returns how many groups each role may have at any time.
func (r *rolloutTable) ceiling() [2]int32 {
	var ceiling [2]int32
	for role := range ceiling {
		ceiling[role] = max(r.before[role], r.after[role]) + r.surge + r.bootstrap
	}
	return ceiling
}

func byRole(roles []string, values [2]int32) map[string]int32 {
	return map[string]int32{roles[0]: values[0], roles[1]: values[1]}
}

func quotient(a, b int32) float64 { return float64(a) / float64(b) }

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
	f.each(t, func(state childByID) {
		for role, ceiling := range most {
			total := int32(0)
			for _, child := range state {
				if child.Labels[disaggregatedsetv1.RoleLabelKey] == role {
					total += *child.Spec.Replicas
				}
			}
			if total > ceiling {
				t.Errorf("%s has %d groups, more than %d", role, total, ceiling)
			}
		}
	})
}

// checkServes checks that each slice has had a revision with a ready group of each of its roles at every time. llm-d's
// router sends requests to such revisions alone.
func (f *roleFilm) checkServes(t *testing.T) {
	t.Helper()
	revisionOf := func(child *leaderworkersetv1.LeaderWorkerSet) [2]string {
		return [2]string{child.Labels[disaggregatedsetv1.SliceLabelKey], child.Labels[disaggregatedsetv1.RevisionLabelKey]}
	}
	rolesOf := map[[2]string]sets.Set[string]{} // by slice and revision
	f.each(t, func(state childByID) {
		for name, child := range state {
			if rolesOf[revisionOf(child)] == nil {
				rolesOf[revisionOf(child)] = sets.New[string]()
			}
			rolesOf[revisionOf(child)].Insert(name)
		}
	})
	f.each(t, func(state childByID) {
		serves := map[string]bool{}
		for revision, children := range rolesOf {
			serves[revision[0]] = serves[revision[0]] || !slices.ContainsFunc(children.UnsortedList(), func(name string) bool {
				return readyGroups(state[name]) == 0
			})
		}
		for slice, does := range serves {
			if !does {
				t.Errorf("no revision of slice %s serves: %s", slice, describe(state))
			}
		}
	})
}

// fewest returns the fewest ready groups that each role has had.
func (f *roleFilm) fewest(t *testing.T) map[string]int32 {
	t.Helper()
	fewest := map[string]int32{}
	for _, role := range f.roles {
		fewest[role] = math.MaxInt32
	}
	f.each(t, func(state childByID) {
		for _, role := range f.roles {
			fewest[role] = min(fewest[role], readyOf(state, role))
		}
	})
	return fewest
}

// ratio returns the lowest and the highest number of ready groups of the first role for one of the second role.
func (f *roleFilm) ratio(t *testing.T) [2]float64 {
	t.Helper()
	ratio := [2]float64{math.Inf(1), 0}
	f.each(t, func(state childByID) {
		now := quotient(readyOf(state, f.roles[0]), readyOf(state, f.roles[1]))
		ratio[0], ratio[1] = min(ratio[0], now), max(ratio[1], now)
	})
	return ratio
}

// slowly makes the pods of a role ready after a duration.
func slowly(role int, duration string) func(*dset) {
	return func(set *dset) {
		template := &set.Spec.Roles[role].Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, cluster.ReadyAfterAnnotation, duration)
	}
}

// TestDisaggregatedMany creates 20 sets at once, and rolls all of them out at once.
func TestDisaggregatedMany(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	all := make([]*dset, 20)
	for i := range all {
		all[i] = newDisaggregated(namespace, []dsetRole{newRole("prefill", 1), newRole("decode", 2)}, limits(1, 0),
			func(set *dset) { set.Name = fmt.Sprintf("llama-%d", i) })
		create(t, all[i])
	}
	for _, set := range all {
		untilRolesAvailable(t, set)
	}
	film := newRoleFilm(t, all[0])
	for _, set := range all {
		edit(t, set, withRoleImages(nextImage, nextImage))
	}
	var names []string
	for _, set := range all {
		untilRolesAvailable(t, set)
		names = append(names, childNames(set)...)
	}
	untilNamed(t, lwsIn(namespace), names...)
	for _, set := range all {
		of := film.of(set)
		of.checkFewest(t, map[string]int32{"prefill": 1, "decode": 2})
		of.checkMost(t, map[string]int32{"prefill": 2, "decode": 3})
		of.checkServes(t)
	}
}
