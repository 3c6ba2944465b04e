// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// garbageCollector deletes objects whose owners are all deleted, and completes foreground and orphan deletions.
type garbageCollector struct {
	world *World

	found []action // at the version of the API that seen says
	seen  int
}

func (g *garbageCollector) actions() []action {
	if g.seen == g.world.API.count {
		return g.found
	}
	g.found, g.seen = nil, g.world.API.count
	owners := g.owners()
	for _, kind := range kinds {
		for _, object := range g.world.API.List(kind) {
			if do := g.need(object, owners); do != nil {
				g.found = append(g.found, do)
			}
		}
	}
	return g.found
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
	kind := g.world.API.kindOf(object).Kind
	g.world.record("garbage collector", "deletes "+noun(object), nameOf(object))
	if err := g.world.API.Delete(kind, client.ObjectKeyFromObject(object), ptr.To(object.GetUID()), policy); err != nil {
		panic(err) // It exists, as nothing happened since.
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
