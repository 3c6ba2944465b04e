// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package write describes requests to the API server, and events about them, as values. Whoever decides on a request
// says why, and under which precondition it is right. The apply package sends it.
package write

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is a Kubernetes object with metadata.
type Object interface {
	metav1.Object
	runtime.Object
}

// Write is one request to the API server, or several deletions at the same time. Exactly one of Create, Patch, Check
// and Delete is set.
type Write struct {
	// Create is an object that doesn't exist. If it exists after all and has the same controller, an earlier creation has
	// succeeded: it only gets the labels in CacheLabels back.
	Create Object

	// Patch is the change from one state of an object to another.
	Patch *Patch

	// Check is an object for which SameSpec has to hold. The request changes nothing, and fails with a conflict otherwise.
	Check Object

	// Delete are objects to delete at the same time. Each is deleted only if it still has the UID that was observed. The
	// garbage collector deletes their dependents in the background.
	Delete []Object

	// If is the precondition of Patch.
	If Precondition

	// OwnerMustLive is an owner of the object, for Create and Patch. The request fails with a conflict if that owner is
	// deleted, or about to be. Nil if no owner has to be checked.
	//
	// A resource version says nothing about the owner: a cache that hasn't seen the deletion of a LeaderWorkerSet yet
	// would start its groups once more, and take back children that kubectl delete --cascade=orphan has left behind.
	OwnerMustLive *metav1.OwnerReference

	// OwnerMustBeGone is the owner of the objects, for Delete. If that owner exists, the request deletes nothing, which is
	// no error. Nil if no owner has to be checked.
	OwnerMustBeGone *metav1.OwnerReference

	// CacheLabels are the labels by which the cache selects the object, for Create. An object without them exists unseen.
	CacheLabels map[string]string

	// MustBeNew says that the writes after this one are right only if Create creates the object. If an earlier creation
	// has succeeded, the request fails with a conflict: the writes were decided on a late view.
	MustBeNew bool

	// Optional says that the writes after this one are right without it. If the API server refuses it, they are made all
	// the same, and the refusal is reported after them.
	Optional bool

	// Reason says why, in words for logs and films.
	Reason string
}

// Patch is a change of an object.
type Patch struct {
	From, To Object
}

// Precondition is what has to be as it was observed for a patch to be right.
type Precondition int

const (
	// Exists asks for an object of the name. The change is merged with what others write.
	Exists Precondition = iota

	// SameUID asks for the same object. If another one has its name, there is nothing to change, which is no error.
	SameUID

	// SameSpec asks for the same object, generation and annotations. The status may be another one: that of a StatefulSet
	// changes with every pod that comes, goes or becomes ready. With SameVersion, one change in three would be refused for
	// nothing during a rolling update.
	SameSpec

	// SameVersion asks for the same resource version.
	SameVersion
)

// Weakest returns the weakest precondition under which a change of an object is right, if the API server counts changes
// of its spec in metadata.generation and the change was made from the whole metadata.
//
// A change of labels and annotations is merged with what others write, unless it changes the annotation decidedOn. That
// one was decided on the whole object as it was observed. The generation doesn't count changes of owners.
func Weakest(from, to Object, decidedOn string) Precondition {
	switch {
	case onlyMetadataDiffers(from, to) && from.GetAnnotations()[decidedOn] == to.GetAnnotations()[decidedOn]:
		return Exists
	case equality.Semantic.DeepEqual(from.GetOwnerReferences(), to.GetOwnerReferences()):
		return SameSpec
	default:
		return SameVersion
	}
}

func onlyMetadataDiffers(from, to Object) bool {
	relabeled, ok := from.DeepCopyObject().(Object)
	if !ok {
		return false
	}
	relabeled.SetLabels(to.GetLabels())
	relabeled.SetAnnotations(to.GetAnnotations())
	return equality.Semantic.DeepEqual(relabeled, to)
}

// Event is an event to record about an object.
type Event struct {
	// Type is Normal or Warning, as in the core API.
	Type string

	// Reason is a reason in CamelCase, which the API package of the kind lists.
	Reason string

	// Action is what the operator did or tried, in one word.
	Action string

	// Note is the message. The API server takes up to 1024 bytes.
	Note string
}
