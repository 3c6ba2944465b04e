// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan composes the pure packages: it turns what a pass observed into one ordered list of writes, the status, and the
// events. It decides everything and writes nothing.
package plan

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is a Kubernetes object with metadata.
type Object interface {
	metav1.Object
	runtime.Object
}

// Write is one request to the API server. Exactly one of its fields is set.
type Write struct {
	// Create is an object that doesn't exist.
	Create Object

	// Patch is the change from one state of an object to another.
	Patch *Patch

	// Relabel is an object that exists, known by name and UID, and that the cache doesn't show: it gets those of its labels back that say
	// whose it is.
	Relabel Object

	// Delete is an object to delete, if it still has the UID it was observed with. Its dependents go in the background.
	Delete Object
}

// Patch is a change of an object. It only applies to what was observed: the version or, of a StatefulSet, the spec and the annotations, as its
// status changes all the time. A change of labels and annotations alone is merged with what others write.
type Patch struct {
	From, To Object
}
