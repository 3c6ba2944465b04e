// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// garbageCollector deletes objects whose owners are all deleted, and completes foreground and orphan deletions.
// It skips objects that it knows to terminate. Without a limit, it does each task at once. With a limit, it reads the
// object first, and other actors act until its next request: it then repeats the deletion of an object that terminates
// by now.
type garbageCollector struct {
	world *World
	limit *requestLimit // nil for none

	found []task // at the version of the API that seen says
	seen  int
	begun map[types.UID]task // whose object it has read
}

// task is a request of the garbage collector, for an object as it was read.
type task struct {
	object client.Object
	do     action
}

func (g *garbageCollector) actions() []action {
	var actions []action
	for _, task := range g.tasks() {
		if g.limit == nil {
			actions = append(actions, task.do)
		} else if _, isBegun := g.begun[task.object.GetUID()]; !isBegun {
			actions = append(actions, func() { g.read(task) })
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(g.begun)) {
		actions = append(actions, func() { g.end(uid) })
	}
	if g.limit != nil && !g.limit.allows() {
		return nil
	}
	return actions
}

// next returns when a limit allows the next request.
func (g *garbageCollector) next() time.Time {
	if g.limit == nil || g.limit.allows() || len(g.tasks())+len(g.begun) == 0 {
		return time.Time{}
	}
	return g.limit.next()
}

// tasks returns what is left to do.
func (g *garbageCollector) tasks() []task {
	if g.seen == g.world.API.count {
		return g.found
	}
	g.found, g.seen = nil, g.world.API.count
	owners := g.owners()
	for _, kind := range kinds {
		for _, object := range g.world.API.List(kind) {
			if do := g.need(object, owners); do != nil {
				g.found = append(g.found, task{object: object, do: do})
			}
		}
	}
	return g.found
}

// read takes the first of the two requests for a task.
func (g *garbageCollector) read(begun task) {
	g.limit.take()
	g.begun[begun.object.GetUID()] = begun
}

// end takes the second request for a task. The API server refuses it if the object is another one by now, or has other
// owners.
func (g *garbageCollector) end(uid types.UID) {
	g.limit.take()
	begun := g.begun[uid]
	delete(g.begun, uid)
	current, exists := g.world.API.current(begun.object)
	if exists && equality.Semantic.DeepEqual(current.GetOwnerReferences(), begun.object.GetOwnerReferences()) {
		begun.do()
	}
}

// ownership has all objects, and their dependents, by UID.
type ownership struct {
	objects    map[types.UID]client.Object
	dependents map[types.UID][]client.Object
}

func (g *garbageCollector) owners() ownership {
	all := ownership{objects: map[types.UID]client.Object{}, dependents: map[types.UID][]client.Object{}}
	for _, kind := range kinds {
		for _, object := range g.world.API.List(kind) {
			all.objects[object.GetUID()] = object
			for _, owner := range object.GetOwnerReferences() {
				all.dependents[owner.UID] = append(all.dependents[owner.UID], object)
			}
		}
	}
	return all
}

// need returns the next action for an object; nil if there is none.
func (g *garbageCollector) need(object client.Object, all ownership) action {
	dependents := all.dependents[object.GetUID()]
	terminating, finalizers := object.GetDeletionTimestamp() != nil, object.GetFinalizers()
	foreground := slices.Contains(finalizers, metav1.FinalizerDeleteDependents)
	switch {
	case terminating && slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return func() { g.orphan(object, dependents) }
	case terminating && foreground && !blocked(object, dependents):
		return func() { g.removeFinalizer(object, metav1.FinalizerDeleteDependents) }
	case terminating || len(object.GetOwnerReferences()) == 0:
		return nil
	}
	waiting := false
	for _, reference := range object.GetOwnerReferences() {
		owner := all.objects[reference.UID]
		switch {
		case owner == nil:
		case owner.GetDeletionTimestamp() != nil && slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents):
			waiting = true
		default:
			return nil // This owner stays.
		}
	}
	policy := metav1.DeletePropagationBackground
	if waiting && len(dependents) > 0 {
		policy = metav1.DeletePropagationForeground
	}
	return func() { g.collect(object, policy) }
}

// blocked reports whether a foreground deletion has to wait for one of the dependents.
func blocked(owner client.Object, dependents []client.Object) bool {
	return slices.ContainsFunc(dependents, func(dependent client.Object) bool {
		return slices.ContainsFunc(dependent.GetOwnerReferences(), func(reference metav1.OwnerReference) bool {
			return reference.UID == owner.GetUID() && ptr.Deref(reference.BlockOwnerDeletion, false)
		})
	})
}

func (g *garbageCollector) collect(object client.Object, policy metav1.DeletionPropagation) {
	kind, repeated := g.world.API.kindOf(object).Kind, false
	if current, exists := g.world.API.current(object); exists {
		repeated = current.GetDeletionTimestamp() != nil
	}
	if !repeated {
		g.world.record("garbage collector", "deletes "+noun(object), nameOf(object))
	}
	if err := g.world.API.Delete(kind, client.ObjectKeyFromObject(object), ptr.To(object.GetUID()), policy); err != nil {
		panic(err) // It exists: nothing happened since the last look.
	}
}

// removeFinalizer removes a finalizer. Without the last one, the object is deleted.
func (g *garbageCollector) removeFinalizer(object client.Object, finalizer string) {
	g.world.record("garbage collector", "lets go of "+noun(object), nameOf(object))
	update(g.world.API, object, func(object client.Object) {
		isRemoved := func(other string) bool { return other == finalizer }
		object.SetFinalizers(slices.DeleteFunc(slices.Clone(object.GetFinalizers()), isRemoved))
	})
}

func (g *garbageCollector) orphan(owner client.Object, dependents []client.Object) {
	isOwner := func(reference metav1.OwnerReference) bool { return reference.UID == owner.GetUID() }
	for _, dependent := range dependents {
		update(g.world.API, dependent, func(object client.Object) {
			object.SetOwnerReferences(slices.DeleteFunc(slices.Clone(object.GetOwnerReferences()), isOwner))
		})
	}
	g.removeFinalizer(owner, metav1.FinalizerOrphanDependents)
}
