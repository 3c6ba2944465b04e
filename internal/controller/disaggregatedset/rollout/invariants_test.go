// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/rollout"
)

var (
	largest = flag.Int("largest", 3, "the largest size of a role in the worlds that are all tried")
	seeds   = flag.Int("seeds", 20000, "how many random worlds are tried")
)

// TestAllSmallWorlds plays the rollouts of all sets of two roles, of all sizes before and after, and of all budgets
// from 0 to 2. In each world, the groups become ready and are deleted in a random order.
func TestAllSmallWorlds(t *testing.T) {
	worlds := 0
	sizes := int32(*largest) + 1 //nolint:gosec // A small number.
	forEach(4, sizes, func(size []int32) {
		forEach(4, 3, func(budget []int32) {
			roles := []rollout.Role{
				{Name: "prefill", Target: size[0], MaxSurge: budget[0], MaxUnavailable: budget[1]},
				{Name: "decode", Target: size[1], MaxSurge: budget[2], MaxUnavailable: budget[3]},
			}
			if !isAllowed(roles) {
				return
			}
			worlds++
			in := rollout.Input{
				Roles: roles, New: revisionOf("new", 0, 0), Old: []rollout.Revision{revisionOf("old", size[2], size[3])},
			}
			play(t, in, rand.New(rand.NewPCG(uint64(worlds), 1))) //nolint:gosec // It has to repeat.
		})
	})
	t.Logf("%d worlds", worlds)
}

// TestAllSmallWorldsOfTwoOldRevisions does the same with two old revisions, of all sizes up to 2. Both roles have the
// same budgets.
func TestAllSmallWorldsOfTwoOldRevisions(t *testing.T) {
	worlds := 0
	forEach(6, 3, func(size []int32) {
		forEach(2, 3, func(budget []int32) {
			roles := rolesOf(budget[0], budget[1], size[0], size[1])
			if !isAllowed(roles) {
				return
			}
			worlds++
			in := rollout.Input{
				Roles: roles, New: revisionOf("new", 0, 0),
				Old: []rollout.Revision{revisionOf("middle", size[2], size[3]), revisionOf("old", size[4], size[5])},
			}
			play(t, in, rand.New(rand.NewPCG(uint64(worlds), 3))) //nolint:gosec // It has to repeat.
		})
	})
	t.Logf("%d worlds", worlds)
}

// TestRandomWorlds does the same with 2 to 4 roles. In the middle, up to three times, another revision is pushed with
// other sizes and budgets, or the sizes and budgets alone change.
func TestRandomWorlds(t *testing.T) {
	for seed := range uint64(*seeds) { //nolint:gosec // A number of tests.
		playRandomly(t, rand.New(rand.NewPCG(seed, 2))) //nolint:gosec // It has to repeat.
	}
}

// FuzzRollout does the same with random numbers that the fuzzer chooses.
func FuzzRollout(f *testing.F) {
	for seed := range byte(20) {
		f.Add([]byte{seed, seed * 7, seed * 31})
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		playRandomly(t, rand.New(&chosen{choices: choices, then: rand.NewPCG(1, 4)})) //nolint:gosec // It has to repeat.
	})
}

// chosen is a source of random numbers that begins with the fuzzer's.
type chosen struct {
	choices []byte
	then    rand.Source
}

// Uint64 implements [rand.Source]. Each byte makes a number whose highest and lowest bits are the byte's: package rand
// reads one or the other.
func (c *chosen) Uint64() uint64 {
	if len(c.choices) == 0 {
		return c.then.Uint64()
	}
	next := uint64(c.choices[0])
	c.choices = c.choices[1:]
	return next<<56 | next<<24 | next
}

func playRandomly(t *testing.T, random *rand.Rand) {
	t.Helper()
	count := 2 + random.IntN(3)
	sizes := make([]int32, count)
	for role := range sizes {
		sizes[role] = 1 + random.Int32N(6)
	}
	in := rollout.Input{Roles: randomRoles(random, count), New: revisionOf("new", make([]int32, count)...)}
	in.Old = []rollout.Revision{revisionOf("old", sizes...)}
	for range random.IntN(4) {
		for range random.IntN(20) {
			decision := rollout.Next(in)
			if problem := judge(in, decision); problem != "" {
				t.Fatalf("%s: %s", state(in), problem)
			}
			apply(&in, decision, random)
			drift(&in, random)
		}
		if roles := randomRoles(random, count); random.IntN(3) == 0 {
			in.Roles = roles
		} else {
			in = pushed(in, roles)
		}
	}
	play(t, in, random)
}

// randomRoles returns roles that the webhook admits.
func randomRoles(random *rand.Rand, count int) []rollout.Role {
	var roles []rollout.Role
	for role := range count {
		of := rollout.Role{
			Name: fmt.Sprint(role), Target: 1 + random.Int32N(6), MaxSurge: random.Int32N(3), MaxUnavailable: random.Int32N(3),
		}
		if of.MaxSurge == 0 && of.MaxUnavailable == 0 {
			of.MaxSurge = 1
		}
		roles = append(roles, of)
	}
	return roles
}

// pushed is the slice once the set has another revision: the baseline of the present one is frozen, and old revisions
// without groups are deleted.
func pushed(in rollout.Input, roles []rollout.Role) rollout.Input {
	frozen := rollout.Revision{Name: "pushed before", Children: append([]rollout.Child(nil), in.New.Children...)}
	for role := range frozen.Children {
		frozen.Children[role].InitialOld = in.Roles[role].Target
	}
	next := rollout.Input{Roles: roles, New: revisionOf("new", make([]int32, len(roles))...)}
	for _, revision := range append([]rollout.Revision{frozen}, in.Old...) {
		for _, child := range revision.Children {
			if child.Spec > 0 {
				next.Old = append(next.Old, revision)
				break
			}
		}
	}
	return next
}

// isAllowed reports whether the webhook admits the budgets: a role with groups may have more of them, or fewer.
func isAllowed(roles []rollout.Role) bool {
	for _, role := range roles {
		if role.Target > 0 && role.MaxSurge == 0 && role.MaxUnavailable == 0 {
			return false
		}
	}
	return true
}

// play takes steps until the rollout is complete, and judges each.
func play(t *testing.T, in rollout.Input, random *rand.Rand) {
	t.Helper()
	first, film := in, ""
	for step := range 1000 {
		decision := rollout.Next(in)
		film += fmt.Sprintf("\n%s: %s: %s", state(in), decision.Reason, decision.Message)
		if problem := judge(in, decision); problem != "" {
			t.Fatalf("%+v: step %d: %s%s", first, step, problem, film)
		}
		if decision.Reason == rollout.Complete {
			return
		}
		changed := apply(&in, decision, random)
		if moved := drift(&in, random); !changed && !moved {
			t.Fatalf("%+v: the rollout stops: %+v%s", first, decision, film)
		}
	}
	t.Fatalf("%+v: the rollout goes on and on%s", first, film)
}

// apply writes a decision, which no child has carried out yet. In half of the cases, the status of a child describes
// its earlier spec then. It returns whether anything changed.
func apply(in *rollout.Input, decision rollout.Decision, random *rand.Rand) bool {
	changed := false
	write := func(revision *rollout.Revision, replicas []int32) {
		children := append([]rollout.Child(nil), revision.Children...)
		for role := range children {
			child := &children[role]
			if child.Terminating || child.Spec == replicas[role] {
				continue
			}
			if !child.Exists {
				*child = rollout.Child{Exists: true, InitialOld: in.Roles[role].Target, Observed: true}
			}
			changed, child.Spec, child.Observed = true, replicas[role], random.IntN(2) == 0
		}
		revision.Children = children
	}
	write(&in.New, decision.New)
	in.Old = append([]rollout.Revision(nil), in.Old...)
	for index := range in.Old {
		write(&in.Old[index], decision.Old[index])
	}
	return changed
}

// drift lets some children create, delete or get ready a group, write their status, or disappear, in a random order;
// one at least if any can. A group that is deleted may be a ready one. Now and then, somebody deletes a child.
func drift(in *rollout.Input, random *rand.Rand) bool {
	var actions []func()
	for _, revision := range append([]rollout.Revision{in.New}, in.Old...) {
		for role := range revision.Children {
			child := &revision.Children[role]
			if !child.Observed && child.Exists {
				actions = append(actions, func() { child.Observed = true })
			}
			switch {
			case child.Terminating:
				actions = append(actions, func() { *child = rollout.Child{} })
			case child.Exists && random.IntN(400) == 0:
				actions = append(actions, func() { child.Terminating = true })
			case child.Replicas < child.Spec:
				actions = append(actions, func() { child.Replicas++ })
			case child.Replicas > child.Spec:
				actions = append(actions, func() { child.Replicas--; child.Ready = min(child.Ready, child.Replicas) })
			case child.Ready < child.Replicas:
				actions = append(actions, func() { child.Ready++ })
			}
		}
	}
	random.Shuffle(len(actions), func(i, j int) { actions[i], actions[j] = actions[j], actions[i] })
	if len(actions) > 0 {
		for _, action := range actions[:1+random.IntN(len(actions))] {
			action()
		}
	}
	return len(actions) > 0
}

// judge returns what is wrong with a step; empty if nothing is. It knows the promises of the contract, and none of the
// ways to keep them. It counts groups as they are, whether or not a status says so. A group above the ceiling is
// allowed if nothing else can move: at most one of each old revision that has groups of the role.
func judge(in rollout.Input, decision rollout.Decision) string {
	for role, of := range in.Roles {
		before, after := serving(in, role, nil, nil), serving(in, role, decision.New, decision.Old)
		floor, ceiling := bounds(in, role, decision.Active)
		if after < floor && after < before {
			return fmt.Sprintf("role %d: %d groups serve, then %d, and %d have to", role, before, after, floor)
		}
		old, revisions, size := int32(0), int32(0), of.Target
		for _, revision := range in.Old {
			if child := revision.Children[role]; counted(child) > 0 {
				old, revisions, size = old+child.Spec, revisions+1, max(size, child.InitialOld)
			}
		}
		grown := decision.New[role] > counted(in.New.Children[role])
		if decision.Reason == rollout.Bootstrap {
			ceiling = size + max(of.MaxSurge, revisions)
		}
		if grown && decision.Active >= 0 && old+decision.New[role] > ceiling {
			return fmt.Sprintf("role %d: %d old and %d new groups, and %d may exist", role, old, decision.New[role], ceiling)
		}
		if decision.New[role] > of.Target && grown {
			return fmt.Sprintf("role %d grows to %d beyond its target %d", role, decision.New[role], of.Target)
		}
	}
	if problem := outOfStep(in, decision); problem != "" {
		return problem
	}
	return orphaned(in, decision)
}

// progress is how many groups of a role were created or removed before and after a step, and how many there are in the
// end.
type progress struct{ before, after, size int32 }

// outOfStep returns which role a step moves ahead of the slowest one by more than a group of the smallest role.
func outOfStep(in rollout.Input, decision rollout.Decision) string {
	if decision.Active < 0 {
		return ""
	}
	var created, removed []progress
	for role, of := range in.Roles {
		created = append(created, progress{
			before: min(counted(in.New.Children[role]), of.Target), after: min(decision.New[role], of.Target), size: of.Target,
		})
		old := in.Old[decision.Active].Children[role]
		size := old.InitialOld // A revision that was pushed away while it shrank has more groups than that.
		removed = append(removed, progress{
			before: max(0, size-counted(old)), after: max(0, size-decision.Old[decision.Active][role]), size: size,
		})
	}
	if role := ahead(created); role >= 0 {
		return fmt.Sprintf("role %d is created ahead of the others: %v", role, created)
	}
	if role := ahead(removed); role >= 0 {
		return fmt.Sprintf("role %d is removed ahead of the others: %v", role, removed)
	}
	return ""
}

func ahead(roles []progress) int {
	slowest, width := 1.0, 0.0
	for _, of := range roles {
		if of.size > 0 {
			slowest, width = min(slowest, float64(of.after)/float64(of.size)), max(width, 1/float64(of.size))
		}
	}
	for role, of := range roles {
		if of.size > 0 && of.after > of.before && float64(of.after)/float64(of.size) > slowest+width+1e-9 {
			return role
		}
	}
	return -1
}

// counted returns how many groups a child has to have; a terminating one counts nothing.
func counted(child rollout.Child) int32 {
	if child.Terminating {
		return 0
	}
	return child.Spec
}

// bounds returns how many groups of a role have to serve, and how many may exist.
func bounds(in rollout.Input, role, active int) (floor, ceiling int32) {
	if active < 0 {
		return 0, in.Roles[role].Target
	}
	of, initial := in.Roles[role], in.Old[active].Children[role].InitialOld
	return min(initial, of.Target) - of.MaxUnavailable, max(initial, of.Target) + of.MaxSurge
}

// serving returns how many groups of a role serve at least once the revisions have these replicas; as they are if nil.
// A revision serves if each of its roles does.
func serving(in rollout.Input, role int, target []int32, old [][]int32) int32 {
	total := capacity(in.New.Children, role, target, func(role int) bool { return in.Roles[role].Target > 0 })
	for index, revision := range in.Old {
		var replicas []int32
		if old != nil {
			replicas = old[index]
		}
		total += capacity(revision.Children, role, replicas, func(role int) bool {
			return revision.Children[role].InitialOld > 0
		})
	}
	return total
}

func capacity(children []rollout.Child, role int, replicas []int32, needed func(int) bool) int32 {
	left := func(role int) int32 {
		child := children[role]
		if child.Terminating {
			return 0
		}
		spec := child.Spec
		if replicas != nil {
			spec = replicas[role]
		}
		return min(spec, max(0, child.Ready-max(0, child.Replicas-spec)))
	}
	for role := range children {
		if needed(role) && left(role) == 0 {
			return 0
		}
	}
	return left(role)
}

// orphaned returns which role of an old revision loses its last ready group while another one keeps serving.
func orphaned(in rollout.Input, decision rollout.Decision) string {
	for index, revision := range in.Old {
		needed := func(role int) bool { return revision.Children[role].InitialOld > 0 }
		for role := range revision.Children {
			served := capacity(revision.Children, role, nil, needed) > 0
			if served && decision.Old[index][role] > 0 && capacity(revision.Children, role, decision.Old[index], needed) == 0 {
				return fmt.Sprintf("old revision %d: role %d keeps %d groups that serve nothing", index, role,
					decision.Old[index][role])
			}
		}
	}
	return ""
}

// forEach calls the function with all lists of that length of numbers below a limit.
func forEach(length int, limit int32, call func([]int32)) {
	forEachBelow(slices.Repeat([]int32{limit}, length), call)
}

// forEachBelow calls the function with all lists of numbers below the limits, each for its place in the list.
func forEachBelow(limits []int32, call func([]int32)) {
	if len(limits) == 0 {
		call(nil)
		return
	}
	forEachBelow(limits[1:], func(rest []int32) {
		for first := range limits[0] {
			call(append([]int32{first}, rest...))
		}
	})
}
