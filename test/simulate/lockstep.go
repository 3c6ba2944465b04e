// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// This file has what must hold for the roles of a DisaggregatedSet after each write of the operator. It counts the
// pods that are really ready, and knows none of the ways in which the operator decides.

// roleBounds follow from all specs of a DisaggregatedSet since the world was last at rest. An operator with a late
// cache may act on any of them.
type roleBounds struct {
	slices int32 // the fewest
	roles  map[string]roleBound
	lost   bool // somebody other than the operator has deleted a child
}

// roleBound has the least and the most of a role's targets and budgets.
type roleBound struct {
	least, most        int32 // targets
	surge, unavailable int32 // the most
}

// fewestReady returns how many groups of the role have to serve in each slice.
func (b roleBound) fewestReady() int32 { return max(0, b.least-b.unavailable) }

// rolesPass is what a pass over a DisaggregatedSet began with.
type rolesPass struct {
	set      *disaggregatedsetv1.DisaggregatedSet
	children []*leaderworkersetv1.LeaderWorkerSet
	targets  map[string]int32

	lowered, raised map[types.NamespacedName]bool // children that the pass has changed
}

// beginRoles returns the DisaggregatedSet of that key with its children, as the pass will read them; nil if there is
// none.
func (r *run) beginRoles(key types.NamespacedName) *rolesPass {
	cache := r.cache
	if cache.views[kindDisaggregatedSet].objects[key] == nil {
		return nil
	}
	for _, kind := range []string{kindDisaggregatedSet, kindLeaderWorkerSet, kindScaler} {
		r.waitForWrites(kind)
	}
	set, ok := cache.views[kindDisaggregatedSet].objects[key].(*disaggregatedsetv1.DisaggregatedSet)
	if !ok {
		return nil
	}
	var all []*leaderworkersetv1.LeaderWorkerSet
	for _, object := range slices.SortedFunc(maps.Values(cache.views[kindLeaderWorkerSet].objects), byName) {
		if child, ok := object.(*leaderworkersetv1.LeaderWorkerSet); ok {
			all = append(all, child)
		}
	}
	scaler := func(key types.NamespacedName) *disaggregatedsetv1.DisaggregatedSetRoleScaler {
		found, _ := cache.views[kindScaler].objects[key].(*disaggregatedsetv1.DisaggregatedSetRoleScaler)
		return found
	}
	return &rolesPass{
		set: set, children: childrenOf(set, all), targets: targetsOf(set, scaler),
		lowered: map[types.NamespacedName]bool{}, raised: map[types.NamespacedName]bool{},
	}
}

// checkRoles checks a change of a DisaggregatedSet or a scaler, and widens the bounds.
func (w *World) checkRoles(change Change) {
	w.t.Helper()
	object := change.New
	if object == nil {
		object = change.Old
	}
	switch changed := object.(type) {
	case *disaggregatedsetv1.DisaggregatedSet:
		w.checkConditions(changed.Status.Conditions)
		if change.New != nil {
			w.rules.addRoles(w.API, changed)
		}
	case *disaggregatedsetv1.DisaggregatedSetRoleScaler:
		if w.writing != nil && !metav1.IsControlledBy(changed, w.writing.roles.set) {
			w.fail("%s writes scaler %s, which belongs to somebody else", w.writing.name, changed.Name)
		}
		for _, set := range listOf[*disaggregatedsetv1.DisaggregatedSet](w.API, kindDisaggregatedSet) {
			w.rules.addRoles(w.API, set)
		}
		w.rules.addScaler(changed)
	}
}

// addScaler adds the bound of a role that the present spec lacks: a pass with a late cache has created its scaler.
func (i *invariants) addScaler(scaler *disaggregatedsetv1.DisaggregatedSetRoleScaler) {
	known, role := i.roles[at(scaler, scaler.Labels[disaggregatedsetv1.SetNameLabelKey])],
		scaler.Labels[disaggregatedsetv1.RoleLabelKey]
	if known == nil {
		return
	}
	if _, hadRole := known.roles[role]; !hadRole {
		known.roles[role] = roleBound{most: scaler.Spec.Replicas}
	}
}

// addRoles widens the bounds of a DisaggregatedSet by its present spec.
func (i *invariants) addRoles(api *API, set *disaggregatedsetv1.DisaggregatedSet) {
	if i.roles == nil {
		i.roles = map[types.NamespacedName]*roleBounds{}
	}
	key := types.NamespacedName{Namespace: set.Namespace, Name: set.Name}
	known, existed := i.roles[key]
	if !existed {
		known = &roleBounds{slices: *set.Spec.Slices, roles: map[string]roleBound{}}
		i.roles[key] = known
	}
	known.slices = min(known.slices, *set.Spec.Slices)
	targets := targetsOf(set, func(key types.NamespacedName) *disaggregatedsetv1.DisaggregatedSetRoleScaler {
		return getOf[*disaggregatedsetv1.DisaggregatedSetRoleScaler](api, kindScaler, key)
	})
	for name, bound := range known.roles {
		if !hasRole(set, name) {
			bound.least, bound.surge = 0, max(bound.surge, 1)
			known.roles[name] = bound
		}
	}
	for n := range set.Spec.Roles {
		role := &set.Spec.Roles[n]
		target, ok := targets[role.Name]
		if !ok {
			continue // Its scaler is about to be created.
		}
		surge, unavailable := budgetOfRole(role, target)
		bound, hadRole := known.roles[role.Name]
		switch {
		case !hadRole && existed:
			bound.most = target // It is new: none has to serve.
		case !hadRole:
			bound.least, bound.most = target, target
		}
		known.roles[role.Name] = roleBound{
			least: min(bound.least, target), most: max(bound.most, target),
			surge: max(bound.surge, surge), unavailable: max(bound.unavailable, unavailable),
		}
	}
}

func hasRole(set *disaggregatedsetv1.DisaggregatedSet, name string) bool {
	return slices.ContainsFunc(set.Spec.Roles, func(role disaggregatedsetv1.DisaggregatedRoleSpec) bool {
		return role.Name == name
	})
}

// checkChild checks a write of a pass over a DisaggregatedSet to a LeaderWorkerSet.
func (w *World) checkChild(change Change) {
	w.t.Helper()
	before, existed := change.Old.(*leaderworkersetv1.LeaderWorkerSet)
	after, exists := change.New.(*leaderworkersetv1.LeaderWorkerSet)
	exists = exists && after.DeletionTimestamp == nil
	if w.writing == nil || w.writing.roles == nil {
		if existed && !exists && w.rules.roles[setOfChild(before)] != nil {
			w.rules.roles[setOfChild(before)].lost = true
		}
		return
	}
	p := w.writing.roles
	if existed && !metav1.IsControlledBy(before, p.set) {
		w.fail("%s writes LeaderWorkerSet %s, which belongs to somebody else", w.writing.name, before.Name)
	}
	had, has := int32(0), int32(0)
	if existed {
		had = *before.Spec.Replicas
	}
	if exists {
		has = *after.Spec.Replicas
		w.checkNewChild(p, after, existed)
	}
	child := after
	if after == nil {
		child = before
	}
	if w.rules.roles[setOfChild(child)] == nil {
		return // The set is deleted.
	}
	w.addNeeds(p, child)
	switch key := at(child, child.Name); {
	case has < had:
		p.lowered[key] = true
		w.checkFloor(p, before, has, exists)
	case has > had:
		p.raised[key] = true
		w.checkCeiling(after)
	}
}

// checkNewChild: a child has the name that its labels say, and belongs to the set.
func (w *World) checkNewChild(p *rolesPass, child *leaderworkersetv1.LeaderWorkerSet, existed bool) {
	w.t.Helper()
	want := childName(p.set.Name, sliceOf(child), hashOf(child), roleOf(child))
	if !existed && (child.Name != want || !metav1.IsControlledBy(child, p.set)) {
		w.fail("%s creates LeaderWorkerSet %s, want %s", w.writing.name, child.Name, want)
	}
}

// checkCeiling: no role has more groups than its largest size, and its surge or one for each other revision.
func (w *World) checkCeiling(raised *leaderworkersetv1.LeaderWorkerSet) {
	w.t.Helper()
	total, others := int32(0), int32(0)
	for _, child := range w.sliceOfChild(raised) {
		if roleOf(child) != roleOf(raised) {
			continue
		}
		total += *child.Spec.Replicas
		if hashOf(child) != hashOf(raised) && *child.Spec.Replicas > 0 {
			others++
		}
	}
	bound := w.rules.roles[setOfChild(raised)].roles[roleOf(raised)]
	if most := bound.most + max(bound.surge, others); total > most {
		w.fail("%s has %d groups in slice %s, more than %d", roleOf(raised), total, sliceOf(raised), most)
	}
}

// sliceOfChild returns the children of the set and the slice of a child.
func (w *World) sliceOfChild(child *leaderworkersetv1.LeaderWorkerSet) []*leaderworkersetv1.LeaderWorkerSet {
	owner := metav1.GetControllerOf(child)
	var children []*leaderworkersetv1.LeaderWorkerSet
	for _, other := range listOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet) {
		of := metav1.GetControllerOf(other)
		if of != nil && owner != nil && of.UID == owner.UID && sliceOf(other) == sliceOf(child) &&
			other.DeletionTimestamp == nil {
			children = append(children, other)
		}
	}
	return children
}

// checkFloor: the operator never takes away a group that serves when that leaves fewer than have to. These groups cost
// nothing:
//
//   - Groups of a revision that served nothing when the pass began, according to the cache.
//   - Groups that the user no longer wants, while no rollout is under way.
//   - Groups of slices that the user no longer wants.
//
// Nothing is checked once somebody other than the operator has taken groups away.
func (w *World) checkFloor(p *rolesPass, before *leaderworkersetv1.LeaderWorkerSet, has int32, exists bool) {
	w.t.Helper()
	bounds := w.rules.roles[setOfChild(before)]
	if numberIn(sliceOf(before)) >= bounds.slices {
		return
	}
	if !exists && *before.Spec.Replicas > 0 {
		w.fail("%s deletes LeaderWorkerSet %s, which has groups", w.writing.name, before.Name)
	}
	if len(w.rules.disturbed) > 0 || bounds.lost || !p.updates(before) || p.capacity(before) == 0 {
		return
	}
	after := w.sliceOfChild(before)
	all := append(slices.DeleteFunc(slices.Clone(after), func(child *leaderworkersetv1.LeaderWorkerSet) bool {
		return child.UID == before.UID
	}), before)
	served, serve := w.serving(all)[roleOf(before)], w.serving(after)[roleOf(before)]
	if fewest := bounds.roles[roleOf(before)].fewestReady(); serve < served && serve < fewest {
		w.fail("%s of slice %s: %d groups serve, then %d with %d of %s, and %d have to",
			roleOf(before), sliceOf(before), served, serve, has, before.Name, fewest)
	}
}

// updates reports whether the slice of a child had groups of an earlier revision when the pass began.
func (p *rolesPass) updates(of *leaderworkersetv1.LeaderWorkerSet) bool {
	return slices.ContainsFunc(p.children, func(child *leaderworkersetv1.LeaderWorkerSet) bool {
		return sliceOf(child) == sliceOf(of) && *child.Spec.Replicas > 0 && !p.isTarget(child)
	})
}

// isTarget reports whether the revision of a child is that of the spec: it has the same roles, each with the same image
// and size.
func (p *rolesPass) isTarget(of *leaderworkersetv1.LeaderWorkerSet) bool {
	equal := 0
	for _, child := range p.children {
		if sliceOf(child) != sliceOf(of) || hashOf(child) != hashOf(of) {
			continue
		}
		if !slices.ContainsFunc(p.set.Spec.Roles, func(role disaggregatedsetv1.DisaggregatedRoleSpec) bool {
			return role.Name == roleOf(child) && templateWords(&role.Spec) == templateWords(&child.Spec)
		}) {
			return false
		}
		equal++
	}
	return equal == len(p.set.Spec.Roles)
}

// templateWords returns what tests change in a template.
func templateWords(spec *leaderworkersetv1.LeaderWorkerSetSpec) string {
	template := spec.LeaderWorkerTemplate
	return fmt.Sprintf("size %d, image %s", *template.Size, template.WorkerTemplate.Spec.Containers[0].Image)
}

// capacity returns how many groups of a child served when the pass began, by the statuses in the cache.
func (p *rolesPass) capacity(of *leaderworkersetv1.LeaderWorkerSet) int32 {
	capacity := int32(0)
	for _, child := range p.children {
		if hashOf(child) != hashOf(of) || sliceOf(child) != sliceOf(of) {
			continue
		}
		ready := committedOf(child)
		if ready == 0 && baselineOf(child) > 0 {
			return 0
		}
		if child.UID == of.UID {
			capacity = ready
		}
	}
	return capacity
}

// committedOf returns how many groups of a child are ready and stay so, by its status.
func committedOf(child *leaderworkersetv1.LeaderWorkerSet) int32 {
	if child.Status.ObservedGeneration != child.Generation {
		return 0
	}
	leaving := max(0, child.Status.Replicas-*child.Spec.Replicas)
	return min(*child.Spec.Replicas, max(0, child.Status.ReadyReplicas-leaving))
}

// serving returns how many groups of each role serve: those that are ready and stay, of revisions in which each role
// has one.
func (w *World) serving(children []*leaderworkersetv1.LeaderWorkerSet) map[string]int32 {
	ready := map[string]map[string]int32{}
	broken := map[string]bool{}
	for _, child := range children {
		hash, count := hashOf(child), w.readyOf(child)
		if ready[hash] == nil {
			ready[hash] = map[string]int32{}
		}
		ready[hash][roleOf(child)] += count
		broken[hash] = broken[hash] || (count == 0 && baselineOf(child) > 0)
	}
	total := map[string]int32{}
	for hash, counts := range ready {
		for role := range w.neededRoles[hash] {
			_, exists := counts[role]
			broken[hash] = broken[hash] || !exists
		}
		for role, count := range counts {
			if !broken[hash] {
				total[role] += count
			}
		}
	}
	return total
}

// readyOf returns how many groups of a child are ready, but for those that its replicas don't include.
func (w *World) readyOf(child *leaderworkersetv1.LeaderWorkerSet) int32 {
	count := int32(0)
	leaders := getOf[*appsv1.StatefulSet](w.API, kindStatefulSet, at(child, child.Name))
	if leaders == nil {
		return 0
	}
	for _, group := range w.groupsOf(leaders) {
		if group.ready && group.index < *child.Spec.Replicas {
			count++
		}
	}
	return count
}

// addNeeds records which roles a revision needs: those with groups when its first child was created.
func (w *World) addNeeds(p *rolesPass, child *leaderworkersetv1.LeaderWorkerSet) {
	if w.neededRoles[hashOf(child)] != nil {
		return
	}
	needed := map[string]bool{}
	for role, target := range p.targets {
		if target > 0 {
			needed[role] = true
		}
	}
	w.neededRoles[hashOf(child)] = needed
}

// checkStep checks what a pass over a DisaggregatedSet that has made all its writes has done: no role is ahead of the
// slowest by more than one group of the smallest, and no role of a revision has lost its last group while another one
// serves.
func (w *World) checkStep(pass *pass) {
	w.t.Helper()
	p := pass.roles
	if p == nil || len(p.lowered)+len(p.raised) == 0 {
		return
	}
	set := getOf[*disaggregatedsetv1.DisaggregatedSet](w.API, kindDisaggregatedSet, at(p.set, p.set.Name))
	if set == nil || set.UID != p.set.UID {
		return
	}
	bySliceAndHash := map[string][]*leaderworkersetv1.LeaderWorkerSet{}
	all := childrenOf(p.set, listOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet))
	for _, child := range all {
		id := sliceOf(child) + "/" + hashOf(child)
		bySliceAndHash[id] = append(bySliceAndHash[id], child)
	}
	for _, id := range slices.Sorted(maps.Keys(bySliceAndHash)) {
		children := bySliceAndHash[id]
		if !p.updates(children[0]) {
			continue
		}
		if hashOf(children[0]) == set.Status.UpdateRevision {
			w.checkWindow(pass, id, p.raised, p.created(children))
			continue
		}
		removed := map[string]progress{}
		for _, child := range children {
			size := baselineOf(child)
			removed[child.Name] = progress{count: max(0, size-*child.Spec.Replicas), size: size}
		}
		w.checkWindow(pass, id, p.lowered, removed)
		w.checkLast(pass, children)
	}
}

// progress is how many groups of a role were created or removed, and how many there are in the end.
type progress struct{ count, size int32 }

func (p progress) part() float64 { return float64(p.count) / float64(p.size) }

// created returns the progress of the target revision, by the names of its children.
func (p *rolesPass) created(children []*leaderworkersetv1.LeaderWorkerSet) map[string]progress {
	created := map[string]progress{}
	for role, target := range p.targets {
		created["missing "+role] = progress{size: target}
	}
	for _, child := range children {
		delete(created, "missing "+roleOf(child))
		target := p.targets[roleOf(child)]
		created[child.Name] = progress{count: min(*child.Spec.Replicas, target), size: target}
	}
	return created
}

// checkWindow: no role that the pass has moved is ahead of the slowest by more than the window's width.
func (w *World) checkWindow(pass *pass, id string, moved map[types.NamespacedName]bool, all map[string]progress) {
	w.t.Helper()
	slowest, smallest := 1.0, int32(0)
	for _, of := range all {
		if of.size > 0 {
			slowest = min(slowest, of.part())
			if smallest == 0 || of.size < smallest {
				smallest = of.size
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		of := all[name]
		if of.size > 0 && moved[at(pass.roles.set, name)] && of.part() > slowest+1/float64(smallest)+1e-9 {
			w.fail("%s: %s of slice and revision %s is ahead of the slowest role: %v", pass.name, name, id, all)
		}
	}
}

// checkLast: no role of an earlier revision has lost its last group in this pass while another one keeps some.
func (w *World) checkLast(pass *pass, children []*leaderworkersetv1.LeaderWorkerSet) {
	w.t.Helper()
	var lost, kept string
	for _, child := range children {
		switch {
		case *child.Spec.Replicas > 0:
			kept = child.Name
		case pass.roles.lowered[at(child, child.Name)] && pass.roles.capacity(child) > 0:
			lost = child.Name
		}
	}
	if lost != "" && kept != "" {
		w.fail("%s: %s has no groups any more, and %s has some", pass.name, lost, kept)
	}
}
