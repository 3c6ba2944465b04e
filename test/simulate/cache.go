// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
)

// lateCache is a cache that shows an older state of the API for each kind, and catches up change by change. It selects
// and trims objects as the operator's own cache does, and passes each change on to the operator's watches. Readers
// share its objects, and must not change them.
type lateCache struct {
	informertest.FakeInformers
	api     *API
	views   map[string]*view
	indexes map[string]client.IndexerFunc // by kind and field
	onRead  func(sharedObject)            // called for each object that Get and List return
}

// sharedObject is an object of the cache, and a deep copy from when the cache stored it.
type sharedObject struct{ object, original client.Object }

// difference describes how a reader has changed the object. It is empty if none has.
func (s sharedObject) difference() string {
	if equality.Semantic.DeepEqual(s.original, s.object) {
		return ""
	}
	return cmp.Diff(s.original, s.object)
}

// view is one kind of objects in the cache.
type view struct {
	selector  labels.Selector
	fields    fields.Selector
	transform toolscache.TransformFunc
	seen      int       // the number of changes of the API's history that it shows
	stalled   time.Time // until when it gets no changes
	objects   map[types.NamespacedName]client.Object
	originals map[types.NamespacedName]client.Object // deep copies of the objects
}

// newLateCache returns a cache that has just been filled, and isn't late yet: the first lists and watches of informers
// are consistent.
func newLateCache(api *API, options cache.Options) *lateCache {
	c := &lateCache{
		FakeInformers: informertest.FakeInformers{Scheme: api.scheme},
		api:           api,
		views:         map[string]*view{},
		indexes:       map[string]client.IndexerFunc{},
	}
	for _, kind := range kinds {
		c.views[kind] = &view{
			selector:  labels.Everything(),
			fields:    fields.Everything(),
			transform: options.DefaultTransform,
			objects:   map[types.NamespacedName]client.Object{},
			originals: map[types.NamespacedName]client.Object{},
		}
	}
	c.views[kindPodGroup].transform = onlyMetadata
	for object, by := range options.ByObject {
		v := c.views[api.kindOf(object).Kind]
		if by.Label != nil {
			v.selector = by.Label
		}
		if by.Field != nil {
			v.fields = by.Field
		}
		if by.Transform != nil {
			v.transform = by.Transform
		}
	}
	for _, kind := range kinds {
		for c.behind(kind) {
			c.views[kind].next(api.history[kind])
		}
	}
	return c
}

// onlyMetadata keeps the metadata of an object.
func onlyMetadata(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	partial := meta.AsPartialObjectMetadata(accessor)
	if typed, ok := object.(runtime.Object); ok {
		partial.SetGroupVersionKind(typed.GetObjectKind().GroupVersionKind())
	}
	return partial, nil
}

// next catches up with one change, and returns the object before and after, each nil if it isn't selected.
func (v *view) next(history []Change) (before, after client.Object) {
	change := history[v.seen]
	v.seen++
	object := change.New
	if object == nil {
		object = change.Old
	}
	key := client.ObjectKeyFromObject(object)
	before = v.objects[key]
	if change.New == nil || !v.selects(change.New) {
		delete(v.objects, key)
		delete(v.originals, key)
		return before, nil
	}
	after = v.trimmed(change.New)
	v.objects[key], v.originals[key] = after, deepCopy(after)
	return before, after
}

func (v *view) selects(object client.Object) bool {
	return v.selector.Matches(labels.Set(object.GetLabels())) && v.fields.Matches(fields.Set(fieldsOf(object)))
}

func (v *view) trimmed(object client.Object) client.Object {
	transformed, err := v.transform(deepCopy(object)) // It may change the object, which the API keeps.
	if err != nil {
		panic(err)
	}
	trimmed, ok := transformed.(client.Object)
	if !ok {
		panic(fmt.Sprintf("%T became %T", object, transformed))
	}
	return trimmed
}

func (c *lateCache) behind(kind string) bool { return c.views[kind].seen < len(c.api.history[kind]) }

// pending returns the kinds that are behind and not stalled.
func (c *lateCache) pending() []string {
	return slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool {
		return !c.behind(kind) || c.views[kind].stalled.After(c.api.clock.Now())
	})
}

// stall stops the changes of a kind for some time.
func (c *lateCache) stall(kind string, until time.Time) { c.views[kind].stalled = until }

// next returns when the next stalled kind that is behind continues; the zero time if there is none.
func (c *lateCache) next() time.Time {
	var next time.Time
	for _, kind := range kinds {
		if v := c.views[kind]; c.behind(kind) && v.stalled.After(c.api.clock.Now()) {
			next = earlier(next, v.stalled)
		}
	}
	return next
}

// catchUp adds the next change of a kind, and notifies the watches.
func (c *lateCache) catchUp(kind string) {
	before, after := c.views[kind].next(c.api.history[kind])
	c.notify(kind, before, after)
}

// relist adds all changes of a kind at once, as after a broken watch. Watches get one change of an object that was
// deleted and created again.
func (c *lateCache) relist(kind string) {
	v := c.views[kind]
	before := maps.Clone(v.objects)
	for c.behind(kind) {
		v.next(c.api.history[kind])
	}
	keys := maps.Clone(before)
	maps.Copy(keys, v.objects)
	for _, key := range slices.SortedFunc(maps.Keys(keys), compareKeys) {
		if before[key] != v.objects[key] {
			c.notify(kind, before[key], v.objects[key])
		}
	}
}

func (c *lateCache) notify(kind string, before, after client.Object) {
	informer := c.informer(kind)
	switch {
	case before == nil && after == nil:
	case before == nil:
		informer.Add(after)
	case after == nil:
		informer.Delete(before)
	default:
		informer.Update(before, after)
	}
}

// announce passes all objects on to the watches, as when the operator starts.
func (c *lateCache) announce() {
	for _, kind := range kinds {
		for _, object := range slices.SortedFunc(maps.Values(c.views[kind].objects), byName) {
			c.notify(kind, nil, object)
		}
	}
}

// informer returns the informer of the watches of a kind; one without listeners if there are none.
func (c *lateCache) informer(kind string) *controllertest.FakeInformer {
	for gvk, informer := range c.InformersByGVK {
		if fake, ok := informer.(*controllertest.FakeInformer); ok && gvk.Kind == kind {
			return fake
		}
	}
	return controllertest.NewFakeInformer()
}

// GetInformer implements [cache.Cache], also for the metadata of objects.
func (c *lateCache) GetInformer(
	ctx context.Context, object client.Object, options ...cache.InformerGetOption,
) (cache.Informer, error) {
	if _, isPartial := object.(*metav1.PartialObjectMetadata); !isPartial {
		return c.FakeInformers.GetInformer(ctx, object, options...)
	}
	if c.InformersByGVK == nil {
		c.InformersByGVK = map[schema.GroupVersionKind]toolscache.SharedIndexInformer{}
	}
	kind := c.api.kindOf(object)
	if c.InformersByGVK[kind] == nil {
		c.InformersByGVK[kind] = controllertest.NewFakeInformer(controllertest.Synced)
	}
	return c.InformersByGVK[kind], nil
}

// IndexField implements [cache.Cache].
func (c *lateCache) IndexField(_ context.Context, object client.Object, field string, value client.IndexerFunc) error {
	c.indexes[c.api.kindOf(object).Kind+"/"+field] = value
	return nil
}

// Get implements [cache.Cache].
func (c *lateCache) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	kind := c.api.kindOf(into).Kind
	c.record(kind, key)
	return read(c.views[kind].objects[key], kind, key, into)
}

// record reports an object that is read.
func (c *lateCache) record(kind string, key types.NamespacedName) {
	if object := c.views[kind].objects[key]; object != nil && c.onRead != nil {
		c.onRead(sharedObject{object: object, original: c.views[kind].originals[key]})
	}
}

// List implements [cache.Cache], for namespaces and indexed fields.
func (c *lateCache) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	kind := c.api.kindOf(list).Kind
	kind = kind[:len(kind)-len("List")]
	wanted := (&client.ListOptions{}).ApplyOptions(options)
	var found []runtime.Object
	for _, object := range slices.SortedFunc(maps.Values(c.views[kind].objects), byName) {
		if object.GetNamespace() == wanted.Namespace && c.matches(kind, object, wanted) {
			c.record(kind, client.ObjectKeyFromObject(object))
			found = append(found, object)
		}
	}
	return meta.SetList(list, found)
}

func (c *lateCache) matches(kind string, object client.Object, wanted *client.ListOptions) bool {
	for _, required := range wanted.FieldSelector.Requirements() {
		if !slices.Contains(c.indexes[kind+"/"+required.Field](object), required.Value) {
			return false
		}
	}
	return true
}

// read copies an object into one of its type, or of metadata only.
func read(object client.Object, kind string, key types.NamespacedName, into client.Object) error {
	if object == nil {
		return apierrors.NewNotFound(resource(kind), key.Name)
	}
	copyInto(into, object)
	return nil
}
