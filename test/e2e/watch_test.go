// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// recording has everything that happens to the objects of one kind in a namespace, in the order of the API server.
type recording[T client.Object] struct {
	// initial has the objects that existed at the beginning.
	initial []T

	mutex   sync.Mutex
	changes []change[T]
	err     error
}

// change is one version of an object: added, modified, or the last version of a deleted object.
type change[T client.Object] struct {
	kind   watch.EventType
	object T
	at     time.Time // when this process received it
}

// record records until the test ends. list is an empty list of the kind. A busy API server may end a watch; the
// recording then continues from there.
func record[T client.Object](t *testing.T, namespace string, list client.ObjectList) *recording[T] {
	t.Helper()
	r := &recording[T]{}
	if err := suite.client.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	err := meta.EachListItem(list, func(object runtime.Object) error {
		typed, ok := object.(T)
		r.initial = append(r.initial, typed)
		return unless(ok, "the list has a %T", object)
	})
	if err != nil {
		t.Fatal(err)
	}
	api := suite.client
	stream, err := watchtools.NewRetryWatcherWithContext(t.Context(), list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return api.Watch(ctx, list, client.InNamespace(namespace), &client.ListOptions{Raw: &options})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go r.follow(t.Context(), stream)
	return r
}

// follow records the events of the stream.
func (r *recording[T]) follow(ctx context.Context, stream watch.Interface) {
	defer stream.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-stream.ResultChan():
			if !r.add(event, open) {
				return
			}
		}
	}
}

// add records one event. It returns false if no more events will follow.
func (r *recording[T]) add(event watch.Event, open bool) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	object, ok := event.Object.(T)
	switch {
	case !open:
		r.err = errors.New("the API server ended the watch")
	case !ok:
		r.err = fmt.Errorf("the API server interrupted the watch: %v", event.Object)
	default:
		r.changes = append(r.changes, change[T]{kind: event.Type, object: object, at: time.Now()})
	}
	return r.err == nil
}

// soFar returns the changes recorded so far.
func (r *recording[T]) soFar(t *testing.T) []change[T] {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.err != nil {
		t.Fatal(r.err)
	}
	return slices.Clone(r.changes)
}

// until waits until the recorded state of the objects passes the check.
func (r *recording[T]) until(t *testing.T, check func(map[string]T) error) {
	t.Helper()
	eventually(t, func(context.Context) error { return check(r.current(t)) })
}

// current returns the last recorded state of the objects, by name.
func (r *recording[T]) current(t *testing.T) map[string]T {
	t.Helper()
	state := r.atStart()
	for _, change := range r.soFar(t) {
		change.apply(state)
	}
	return state
}

// atStart returns the state of the objects at the beginning, by name.
func (r *recording[T]) atStart() map[string]T {
	state := map[string]T{}
	for _, object := range r.initial {
		state[object.GetName()] = object
	}
	return state
}

// apply applies the change to a state.
func (c change[T]) apply(state map[string]T) {
	if c.kind == watch.Deleted {
		delete(state, c.object.GetName())
		return
	}
	state[c.object.GetName()] = c.object
}

// incarnations counts the objects that each name has had, one after the other.
func (r *recording[T]) incarnations(t *testing.T) map[string]int {
	t.Helper()
	counted := map[string]bool{}
	incarnations := map[string]int{}
	for _, object := range r.versions(t) {
		if uid := string(object.GetUID()); !counted[uid] {
			counted[uid] = true
			incarnations[object.GetName()]++
		}
	}
	return incarnations
}

// versions returns all versions of all objects, from the beginning on.
func (r *recording[T]) versions(t *testing.T) []T {
	t.Helper()
	versions := slices.Clone(r.initial)
	for _, change := range r.soFar(t) {
		versions = append(versions, change.object)
	}
	return versions
}

// each returns a map with the same number of incarnations for each name.
func each(names []string, incarnations int) map[string]int {
	result := map[string]int{}
	for _, name := range names {
		result[name] = incarnations
	}
	return result
}
