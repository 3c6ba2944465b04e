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

// garbageCollector deletes objects whose owners are all gone, and does what foreground and orphan deletion ask for before an owner goes.
type garbageCollector struct {
	world *World

	// found is what there was to do at a version of the world.
	found []action
	at    int
}

func (g *garbageCollector) actions() []action {
	if g.at == g.world.API.count {
		return g.found
	}
	g.found, g.at = nil, g.world.API.count
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

// ownership is who exists, and what depends on whom.
type ownership struct {
	exists     map[types.UID]client.Object
	dependents map[types.UID][]client.Object
}

func (g *garbageCollector) owners() ownership {
	all := ownership{exists: map[types.UID]client.Object{}, dependents: map[types.UID][]client.Object{}}
	for _, kind := range kinds {
		for _, object := range g.world.API.List(kind) {
			all.exists[object.GetUID()] = object
			for _, owner := range object.GetOwnerReferences() {
				all.dependents[owner.UID] = append(all.dependents[owner.UID], object)
			}
		}
	}
	return all
}

// need is what an object needs now; nil for nothing.
func (g *garbageCollector) need(object client.Object, all ownership) action {
	dependents := all.dependents[object.GetUID()]
	deleted := object.GetDeletionTimestamp() != nil
	switch {
	case deleted && slices.Contains(object.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return func() { g.orphan(object, dependents) }
	case deleted && slices.Contains(object.GetFinalizers(), metav1.FinalizerDeleteDependents) && !blocked(object, dependents):
		return func() { g.release(object, metav1.FinalizerDeleteDependents) }
	case deleted || len(object.GetOwnerReferences()) == 0:
		return nil
	}
	waiting := false
	for _, reference := range object.GetOwnerReferences() {
		owner := all.exists[reference.UID]
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

// blocked says whether a foreground deletion has to wait for one of the dependents.
func blocked(owner client.Object, dependents []client.Object) bool {
	return slices.ContainsFunc(dependents, func(dependent client.Object) bool {
		return slices.ContainsFunc(dependent.GetOwnerReferences(), func(reference metav1.OwnerReference) bool {
			return reference.UID == owner.GetUID() && ptr.Deref(reference.BlockOwnerDeletion, false)
		})
	})
}

func (g *garbageCollector) collect(object client.Object, policy metav1.DeletionPropagation) {
	kind := g.world.API.kindOf(object).Kind
	g.world.tell("garbage collector", "deletes "+noun(object), nameOf(object))
	if err := g.world.API.Delete(kind, client.ObjectKeyFromObject(object), ptr.To(object.GetUID()), policy); err != nil {
		panic(err) // It was there a moment ago.
	}
}

// release takes a finalizer off: with the last one, the object is gone.
func (g *garbageCollector) release(object client.Object, finalizer string) {
	g.world.tell("garbage collector", "lets go of "+noun(object), nameOf(object))
	update(g.world.API, object, func(object client.Object) {
		object.SetFinalizers(slices.DeleteFunc(slices.Clone(object.GetFinalizers()), func(f string) bool { return f == finalizer }))
	})
}

func (g *garbageCollector) orphan(owner client.Object, dependents []client.Object) {
	for _, dependent := range dependents {
		update(g.world.API, dependent, func(object client.Object) {
			object.SetOwnerReferences(slices.DeleteFunc(slices.Clone(object.GetOwnerReferences()), func(reference metav1.OwnerReference) bool {
				return reference.UID == owner.GetUID()
			}))
		})
	}
	g.release(owner, metav1.FinalizerOrphanDependents)
}
