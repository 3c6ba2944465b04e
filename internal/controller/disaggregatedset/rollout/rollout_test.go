// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/rollout"
)

// child returns a child whose groups are all ready.
func child(initialOld, replicas int32) rollout.Child {
	return rollout.Child{
		Exists: true, InitialOld: initialOld, Spec: replicas, Replicas: replicas, Ready: replicas, Observed: true,
	}
}

// rolesOf returns roles with these targets and the same budgets.
func rolesOf(surge, unavailable int32, targets ...int32) []rollout.Role {
	var roles []rollout.Role
	for index, target := range targets {
		roles = append(roles, rollout.Role{
			Name: fmt.Sprintf("role-%d", index), Target: target, MaxSurge: surge, MaxUnavailable: unavailable,
		})
	}
	return roles
}

// revisionOf returns a revision with these groups, all ready.
func revisionOf(name string, groups ...int32) rollout.Revision {
	revision := rollout.Revision{Name: name}
	for _, count := range groups {
		revision.Children = append(revision.Children, child(count, count))
	}
	return revision
}

// carriedOut is the slice after a decision, if all groups are ready at once.
func carriedOut(in rollout.Input, decision rollout.Decision) rollout.Input {
	next := rollout.Input{Roles: in.Roles, New: scaled(in.New, decision.New)}
	for index, revision := range in.Old {
		next.Old = append(next.Old, scaled(revision, decision.Old[index]))
	}
	return next
}

func scaled(revision rollout.Revision, replicas []int32) rollout.Revision {
	result := rollout.Revision{Name: revision.Name}
	for role, count := range replicas {
		result.Children = append(result.Children, child(revision.Children[role].InitialOld, count))
	}
	return result
}

// steps returns the slice after each step as old/new: "32/11" are 3 and 2 old groups, and a new one of each role.
func steps(in rollout.Input) string {
	var states []string
	for range 50 {
		states = append(states, state(in))
		decision := rollout.Next(in)
		if decision.Reason != rollout.Moving && decision.Reason != rollout.Bootstrap {
			return strings.Join(append(states, string(decision.Reason)), " ")
		}
		in = carriedOut(in, decision)
	}
	return strings.Join(append(states, "…"), " ")
}

func state(in rollout.Input) string {
	var text strings.Builder
	for _, revision := range append(slices.Clone(in.Old), in.New) {
		if text.Len() > 0 {
			text.WriteByte('/')
		}
		for _, child := range revision.Children {
			fmt.Fprint(&text, child.Spec)
		}
	}
	return text.String()
}

// TestSteps plays whole rollouts in which each group is ready at once. The first six are the tables of the API's
// contract.
func TestSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		roles []rollout.Role
		old   []rollout.Revision
		want  string
	}{
		"prefill is twice as large as decode": {
			rolesOf(2, 2, 8, 4), []rollout.Revision{revisionOf("a", 8, 4)},
			"84/00 62/22 41/43 21/64 00/84 Complete",
		},
		"one more group of each role": {
			rolesOf(1, 0, 3, 2), []rollout.Revision{revisionOf("a", 3, 2)},
			"32/00 32/11 21/11 21/22 11/22 11/32 00/32 Complete",
		},
		"one group less of each role": {
			rolesOf(0, 1, 4, 4), []rollout.Revision{revisionOf("a", 4, 4)},
			"44/00 33/00 33/11 22/11 22/22 11/22 11/33 00/33 00/44 Complete",
		},
		"one role grows, and the other shrinks": {
			rolesOf(1, 0, 4, 2), []rollout.Revision{revisionOf("a", 2, 4)},
			"24/00 22/11 11/22 00/32 00/42 Complete",
		},
		"a role of one group gets its first one above the ceiling": {
			rolesOf(0, 1, 1, 5), []rollout.Revision{revisionOf("a", 1, 5)},
			"15/00 14/00 14/01 14/11 13/11 13/12 12/12 12/13 11/13 11/14 00/14 00/15 Complete",
		},
		"one group of each role": {
			rolesOf(1, 0, 1, 1), []rollout.Revision{revisionOf("a", 1, 1)}, "11/00 11/11 00/11 Complete",
		},
		"nothing is old": {rolesOf(1, 0, 2, 2), nil, "00 22 Complete"},
	} {
		t.Run(name, func(t *testing.T) {
			in := rollout.Input{Roles: tt.roles, Old: tt.old, New: revisionOf("new", make([]int32, len(tt.roles))...)}
			if diff := cmp.Diff(tt.want, steps(in)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestGrowingRoleKeepsItsGroups checks that a role that grows loses none of its groups before new ones are ready.
func TestGrowingRoleKeepsItsGroups(t *testing.T) {
	in := rollout.Input{
		Roles: rolesOf(1, 1, 8, 8), New: revisionOf("new", 0, 0), Old: []rollout.Revision{revisionOf("old", 2, 2)},
	}
	if decision := rollout.Next(in); slices.Min(decision.Old[0]) < 1 {
		t.Errorf("the first step leaves %v old groups", decision.Old[0])
	}
}

// TestRenamedRolesEnd checks that a rollout ends in which every role has another name, and that the old roles serve
// until the new ones do.
func TestRenamedRolesEnd(t *testing.T) {
	roles := rolesOf(1, 0, 2, 2, 0, 0)
	in := rollout.Input{
		Roles: roles, New: revisionOf("new", 0, 0, 0, 0), Old: []rollout.Revision{revisionOf("old", 0, 0, 2, 2)},
	}
	if got := steps(in); !strings.HasSuffix(got, "0000/2200 Complete") {
		t.Error(got)
	}
	if decision := rollout.Next(in); decision.Old[0][2] == 0 || decision.Old[0][3] == 0 {
		t.Errorf("the first step deletes the old roles: %+v", decision)
	}
}

// TestUnusableRevisionGoesFirst checks that a revision without a ready group in one role is drained at once, and that
// the serving one stays.
func TestUnusableRevisionGoesFirst(t *testing.T) {
	broken := revisionOf("broken", 2, 2)
	broken.Children[1].Ready, broken.Children[0].Ready = 0, 0
	in := rollout.Input{
		Roles: rolesOf(1, 0, 2, 2), New: revisionOf("new", 0, 0),
		Old: []rollout.Revision{broken, revisionOf("serving", 2, 2)},
	}
	decision := rollout.Next(in)
	if diff := cmp.Diff([][]int32{{0, 0}, {2, 2}}, decision.Old); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLateStatusMovesNothingOld checks that a child whose status is of an earlier spec counts as one without ready
// groups, and isn't drained.
func TestLateStatusMovesNothingOld(t *testing.T) {
	late := revisionOf("old", 3, 3)
	late.Children[0].Observed = false
	in := rollout.Input{Roles: rolesOf(1, 1, 3, 3), New: revisionOf("new", 3, 3), Old: []rollout.Revision{late}}
	if decision := rollout.Next(in); !slices.Equal(decision.Old[0], []int32{3, 3}) {
		t.Errorf("%+v", decision)
	}
}

// TestRollbackWithoutBaseline checks that children without the annotation count with all groups that the roles have
// now.
func TestRollbackWithoutBaseline(t *testing.T) {
	old := revisionOf("old", 2, 2)
	old.Children[0].InitialOld, old.Children[1].InitialOld = rollout.NoBaseline, rollout.NoBaseline
	in := rollout.Input{Roles: rolesOf(1, 0, 4, 4), New: revisionOf("new", 2, 2), Old: []rollout.Revision{old}}
	decision := rollout.Next(in)
	if !slices.Equal(decision.Old[0], []int32{2, 2}) {
		t.Errorf("4 groups have to serve, and the step leaves %v and %v", decision.Old[0], decision.New)
	}
	if got := steps(in); !strings.HasSuffix(got, "00/44 Complete") {
		t.Error(got)
	}
}

// TestBlocked checks that a rollout says so if its budgets leave no step while groups aren't ready.
func TestBlocked(t *testing.T) {
	in := rollout.Input{
		Roles: rolesOf(1, 0, 2, 2), New: revisionOf("new", 1, 1), Old: []rollout.Revision{revisionOf("old", 2, 2)},
	}
	in.New.Children[1].Ready = 0
	decision := rollout.Next(in)
	if decision.Reason != rollout.Waiting || !slices.Equal(decision.Old[0], []int32{2, 2}) {
		t.Errorf("%+v", decision)
	}
	in.New.Children[1].Ready = 1
	in.Old[0].Children[0].Ready = 0
	in.Old[0].Children[1].Ready = 0
	if decision := rollout.Next(in); !slices.Equal(decision.Old[0], []int32{0, 0}) {
		t.Errorf("a revision that serves nothing stays: %+v", decision)
	}
}

// TestScalingInTheMiddle checks that a larger and a smaller target take effect in the middle of a rollout.
func TestScalingInTheMiddle(t *testing.T) {
	for target, want := range map[int32]string{6: "00/66 Complete", 2: "00/22 Complete"} {
		in := rollout.Input{
			Roles: rolesOf(1, 1, target, target), New: revisionOf("new", 2, 2),
			Old: []rollout.Revision{{Name: "old", Children: []rollout.Child{child(4, 2), child(4, 2)}}},
		}
		if got := steps(in); !strings.HasSuffix(got, want) {
			t.Errorf("target %d: %s", target, got)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	targets := []int32{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}
	in := rollout.Input{
		Roles: rolesOf(2, 2, targets...), New: revisionOf("new", make([]int32, 10)...),
		Old: []rollout.Revision{revisionOf("a", targets...), revisionOf("b", targets...)},
	}
	for b.Loop() {
		rollout.Next(in)
	}
}

// TestDrainingIsNotUnusable looks at a step of 4 and 4 groups, as a real control plane showed it: the group of decode
// that goes is no longer ready, but still exists. The old revision serves, and prefill must keep 3 ready groups.
func TestDrainingIsNotUnusable(t *testing.T) {
	child := func(initial, spec, replicas, ready int32) rollout.Child {
		return rollout.Child{Exists: true, Observed: true, InitialOld: initial, Spec: spec, Replicas: replicas, Ready: ready}
	}
	decision := rollout.Next(rollout.Input{
		Roles: []rollout.Role{
			{Name: "prefill", Target: 4, MaxUnavailable: 1}, {Name: "decode", Target: 4, MaxUnavailable: 1},
		},
		New: rollout.Revision{Name: "new", Children: []rollout.Child{child(4, 3, 2, 2), child(4, 3, 2, 2)}},
		Old: []rollout.Revision{{Name: "old", Children: []rollout.Child{child(4, 1, 2, 2), child(4, 1, 2, 1)}}},
	})
	if old := decision.Old[0]; old[0] != 1 || old[1] != 1 {
		t.Errorf("the old revision gets %v groups: %s", old, decision.Message)
	}
}

// TestGroupsBeyondTheSize drains a revision that was pushed away while its first role shrank from 5 groups to 2. The 3
// groups too many are no progress, so the second role may only give up half of its groups.
func TestGroupsBeyondTheSize(t *testing.T) {
	decision := rollout.Next(rollout.Input{
		Roles: []rollout.Role{{Name: "prefill", Target: 2, MaxSurge: 1}, {Name: "decode", Target: 6, MaxUnavailable: 4}},
		New:   revisionOf("new", 0, 0),
		Old:   []rollout.Revision{{Name: "old", Children: []rollout.Child{child(2, 5), child(6, 6)}}},
	})
	if diff := cmp.Diff([]int32{2, 3}, decision.Old[0]); diff != "" {
		t.Errorf("%s: -want +got:\n%s", decision.Message, diff)
	}
}

// TestSlowestRoleAtItsCeiling checks that no role leaves the window above the ceiling because the slowest one has no
// room: 4 groups of it aren't ready.
func TestSlowestRoleAtItsCeiling(t *testing.T) {
	middle := rollout.Revision{Name: "middle", Children: []rollout.Child{child(6, 6), child(1, 1)}}
	middle.Children[0].Ready = 2
	decision := rollout.Next(rollout.Input{
		Roles: []rollout.Role{
			{Name: "prefill", Target: 5, MaxSurge: 2, MaxUnavailable: 1}, {Name: "decode", Target: 4, MaxSurge: 1},
		},
		New: rollout.Revision{Name: "new", Children: []rollout.Child{child(5, 0), child(4, 1)}},
		Old: []rollout.Revision{middle, {Name: "oldest", Children: []rollout.Child{child(6, 2), child(5, 1)}}},
	})
	if diff := cmp.Diff([]int32{0, 1}, decision.New); diff != "" {
		t.Errorf("%s: -want +got:\n%s", decision.Message, diff)
	}
}
