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

// recording is everything that happens to the objects of one kind in a namespace, in the order in which the API server did it.
type recording[T client.Object] struct {
	// initial are the objects that were there at the beginning.
	initial []T

	mutex   sync.Mutex
	changes []change[T]
	err     error
}

// change is one version of an object: added, modified, or the last one of an object that was deleted.
type change[T client.Object] struct {
	kind   watch.EventType
	object T
	at     time.Time // when this process learned of it
}

// record begins to record, until the test ends. list is an empty list of the kind. An API server that ends a watch, as it does when it is
// busy, is asked to go on from there.
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

// follow takes down what the stream says.
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

// add takes down one event. It returns false if there won't be more.
func (r *recording[T]) add(event watch.Event, open bool) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	object, ok := event.Object.(T)
	switch {
	case !open:
		r.err = errors.New("the API server ended the watch")
	case !ok:
		r.err = fmt.Errorf("the API server broke off the watch: %v", event.Object)
	default:
		r.changes = append(r.changes, change[T]{kind: event.Type, object: object, at: time.Now()})
	}
	return r.err == nil
}

// sofar is what has been recorded.
func (r *recording[T]) sofar(t *testing.T) []change[T] {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.err != nil {
		t.Fatal(r.err)
	}
	return slices.Clone(r.changes)
}

// until waits until the recording has come to a state of the objects that passes the check.
func (r *recording[T]) until(t *testing.T, check func(map[string]T) error) {
	t.Helper()
	eventually(t, func(context.Context) error { return check(r.current(t)) })
}

// current is the last recorded state of the objects, by name.
func (r *recording[T]) current(t *testing.T) map[string]T {
	t.Helper()
	state := r.atStart()
	for _, change := range r.sofar(t) {
		change.apply(state)
	}
	return state
}

// atStart is the state of the objects at the beginning, by name.
func (r *recording[T]) atStart() map[string]T {
	state := map[string]T{}
	for _, object := range r.initial {
		state[object.GetName()] = object
	}
	return state
}

// apply brings a state forward by the change.
func (c change[T]) apply(state map[string]T) {
	if c.kind == watch.Deleted {
		delete(state, c.object.GetName())
		return
	}
	state[c.object.GetName()] = c.object
}

// lives counts the objects that have had each name, one after the other.
func (r *recording[T]) lives(t *testing.T) map[string]int {
	t.Helper()
	seen := map[string]bool{}
	lives := map[string]int{}
	for _, object := range r.versions(t) {
		if uid := string(object.GetUID()); !seen[uid] {
			seen[uid] = true
			lives[object.GetName()]++
		}
	}
	return lives
}

// versions are all versions of all objects, from the beginning on.
func (r *recording[T]) versions(t *testing.T) []T {
	t.Helper()
	versions := slices.Clone(r.initial)
	for _, change := range r.sofar(t) {
		versions = append(versions, change.object)
	}
	return versions
}

// each is a number of lives for each of the names.
func each(names []string, lives int) map[string]int {
	result := map[string]int{}
	for _, name := range names {
		result[name] = lives
	}
	return result
}
