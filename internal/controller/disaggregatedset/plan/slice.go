// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// slice is one slice of a set. Each slice is rolled out by itself.
type slice struct {
	set   *snapshot.Set
	index int32
	key   string

	// roles are the names of the spec's roles, and then of those that only old revisions have.
	roles []string

	// revisions are the current revision and then the old ones, newest first. Their children are in the order of roles.
	revisions []revisionOfSlice

	// in is what the rollout decides on.
	in rollout.Input
}

type revisionOfSlice struct {
	key      string
	children []*snapshot.Child // nil if there is none
}

// observe returns a slice as the pass observed it.
func observe(set *snapshot.Set, index int32, key string) *slice {
	s := &slice{set: set, index: index, key: key}
	byRevision := map[string]map[string]*snapshot.Child{key: {}}
	keys, removed := []string{key}, map[string]bool{}
	for i := range set.Children {
		child := &set.Children[i]
		if child.Slice != index {
			continue
		}
		if byRevision[child.Revision] == nil {
			byRevision[child.Revision] = map[string]*snapshot.Child{}
			keys = append(keys, child.Revision)
		}
		if known := byRevision[child.Revision][child.Role]; known == nil || known.Terminating() {
			byRevision[child.Revision][child.Role] = child
		}
		removed[child.Role] = set.Role(child.Role) == nil
	}
	for i := range set.DSet.Spec.Roles {
		s.roles = append(s.roles, set.DSet.Spec.Roles[i].Name)
	}
	maps.DeleteFunc(removed, func(_ string, isRemoved bool) bool { return !isRemoved })
	s.roles = append(s.roles, sortedKeys(removed)...)
	for _, key := range keys {
		children := make([]*snapshot.Child, len(s.roles))
		for i, role := range s.roles {
			children[i] = byRevision[key][role]
		}
		s.revisions = append(s.revisions, revisionOfSlice{key: key, children: children})
	}
	return s
}

// next decides on the next step of the slice.
func (s *slice) next() rollout.Decision {
	in := rollout.Input{New: s.revisions[0].observed()}
	for i, name := range s.roles {
		in.Roles = append(in.Roles, rollout.Role{Name: name, Target: s.target(i), MaxSurge: 1})
		if role := s.set.Role(name); role != nil {
			in.Roles[i].MaxSurge, in.Roles[i].MaxUnavailable = snapshot.Budget(role, s.target(i))
		}
	}
	for _, old := range s.old() {
		in.Old = append(in.Old, old.observed())
	}
	s.in = in
	return rollout.Next(in)
}

func (s *slice) old() []revisionOfSlice { return s.revisions[1:] }

// target returns how many groups a role is to have: 0 if the spec no longer has it.
func (s *slice) target(role int) int32 {
	if spec := s.set.Role(s.roles[role]); spec != nil {
		return s.set.Target(spec)
	}
	return 0
}

func (r *revisionOfSlice) observed() rollout.Revision {
	observed := rollout.Revision{Name: r.key, Children: make([]rollout.Child, len(r.children))}
	for i, child := range r.children {
		if child == nil {
			continue
		}
		initial, ok := child.InitialReplicas()
		if !ok {
			initial = rollout.NoBaseline
		}
		observed.Children[i] = rollout.Child{
			Exists: true, InitialOld: initial, Observed: child.Observed(), Terminating: child.Terminating(),
			Spec: child.Replicas(), Replicas: child.LWS.Status.Replicas, Ready: child.LWS.Status.ReadyReplicas,
		}
	}
	return observed
}

// updating reports whether the slice has a rollout that isn't complete.
func (s *slice) updating(decision *rollout.Decision) bool {
	return decision.Reason != rollout.Complete && slices.ContainsFunc(s.old(), revisionOfSlice.lives)
}

// lives reports whether a LeaderWorkerSet of the revision exists that isn't being deleted.
func (r revisionOfSlice) lives() bool {
	return slices.ContainsFunc(r.children, func(c *snapshot.Child) bool { return c != nil && !c.Terminating() })
}

// hasGroups reports whether a LeaderWorkerSet of the revision has groups.
func (r revisionOfSlice) hasGroups() bool {
	return slices.ContainsFunc(r.children, func(c *snapshot.Child) bool { return c != nil && c.HasGroups() })
}

// explain says where the slice's rollout is.
func (s *slice) explain(decision *rollout.Decision) string {
	return fmt.Sprintf("slice %d: %s", s.index, decision.Message)
}

// writes carries out a decision: old groups are drained before new ones are added.
func (s *slice) writes(decision *rollout.Decision) changes {
	var c changes
	for i, old := range s.old() {
		baseline := func(role int) int32 { return s.in.Baseline(role, s.in.Old[i].Children[role]) }
		c.addAll(s.resize(old, decision.Old[i], baseline, s.updating(decision)))
	}
	created := s.missing(decision)
	c.addAll(s.resize(s.revisions[0], decision.New, s.target, s.updating(decision)))
	c.addAll(created)
	if !s.revisions[0].lives() && len(created.writes) > 0 && slices.ContainsFunc(s.old(), revisionOfSlice.hasGroups) {
		c.events = append(c.events, status.Normal(disaggregatedsetv1.ReasonRollingUpdateStarted,
			fmt.Sprintf("slice %d: rolling out revision %s", s.index, s.key)))
	}
	c.addAll(s.drained(decision))
	return c
}

func (c *changes) addAll(other changes) {
	c.writes = append(c.writes, other.writes...)
	c.events = append(c.events, other.events...)
}

// resize brings living children to the decided replicas and to the policies of their roles. The baseline follows the
// target while the revision is the current one, and stays after.
func (s *slice) resize(
	r revisionOfSlice, replicas []int32, baseline func(role int) int32, updating bool,
) changes {
	var c changes
	for i, child := range r.children {
		if child == nil || child.Terminating() {
			continue
		}
		at := desired.Position{Slice: s.index, Revision: r.key, Role: s.set.Role(child.Role)}
		adjusted := desired.Adjusted(child.LWS, s.set.DSet, at, replicas[i], baseline(i))
		if equality.Semantic.DeepEqual(child.LWS, adjusted) {
			continue
		}
		change := write.Patch{From: child.LWS, To: adjusted}
		c.writes = append(c.writes, write.Write{
			Patch: &change, If: write.SameSpec,
			Reason: fmt.Sprintf("role %s of revision %s: from %d to %d groups",
				child.Role, r.key, child.Replicas(), replicas[i]),
		})
		if !updating {
			c.events = append(c.events, scaling(child, replicas[i])...)
		}
	}
	return c
}

// scaling reports a change of replicas outside of a rollout.
func scaling(child *snapshot.Child, replicas int32) []write.Event {
	note := fmt.Sprintf("LeaderWorkerSet %s: from %d to %d groups", child.LWS.Name, child.Replicas(), replicas)
	switch {
	case replicas > child.Replicas():
		return []write.Event{status.Normal(disaggregatedsetv1.ReasonScalingUp, note)}
	case replicas < child.Replicas():
		return []write.Event{status.Normal(disaggregatedsetv1.ReasonScalingDown, note)}
	default:
		return nil
	}
}

// missing creates the children of the current revision that don't exist. A child that is being deleted still has its
// name: its successor waits.
func (s *slice) missing(decision *rollout.Decision) changes {
	var c changes
	for i, name := range s.roles {
		role := s.set.Role(name)
		if role == nil || s.revisions[0].children[i] != nil {
			continue
		}
		at := desired.Position{Slice: s.index, Revision: s.key, Role: role}
		child := desired.Child(s.set.DSet, at, decision.New[i], s.target(i))
		created := create(s.set, child, "the role has no LeaderWorkerSet of the revision yet")
		// The other roles' steps are right beside the decided replicas. One that exists may have others.
		created.MustBeNew, created.CacheLabels = true, child.Labels
		c.writes = append(c.writes, created)
	}
	return c
}

// drained deletes children of old revisions that aren't needed any more: all, once the rollout is complete. Before, the
// last revision without groups stays, because its baseline says how far the rollout has got.
func (s *slice) drained(decision *rollout.Decision) changes {
	complete := decision.Reason == rollout.Complete
	othersHaveGroups := slices.ContainsFunc(s.old(), revisionOfSlice.hasGroups)
	var needless []snapshot.Child
	for i, old := range s.old() {
		if complete || (othersHaveGroups && i != decision.Active && !old.hasGroups()) {
			needless = append(needless, old.living()...)
		}
	}
	return deletion(needless, "the revision has no groups any more")
}

func (r *revisionOfSlice) living() []snapshot.Child {
	var living []snapshot.Child
	for _, child := range r.children {
		if child != nil {
			living = append(living, *child)
		}
	}
	return living
}

// deletion deletes LeaderWorkerSets, but for those that are being deleted already.
func deletion(children []snapshot.Child, reason string) changes {
	var objects []write.Object
	var names []string
	for _, child := range children {
		if !child.Terminating() {
			objects, names = append(objects, child.LWS), append(names, child.LWS.Name)
		}
	}
	if len(objects) == 0 {
		return changes{}
	}
	return changes{
		writes: []write.Write{{Delete: objects, Reason: reason}},
		events: []write.Event{status.Normal(disaggregatedsetv1.ReasonLWSDeleted,
			fmt.Sprintf("deleted LeaderWorkerSets %s: %s", strings.Join(names, ", "), reason))},
	}
}

func sortedKeys[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
