// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// operatorClient is the client of one run of the operator. It reads from the cache and writes to the API. Other actors
// may act before each write, and a write may fail.
type operatorClient struct {
	// A method that isn't overridden would panic. None is called.
	client.Client

	world *World
	run   *run
}

// Scheme implements [client.Client].
func (c *operatorClient) Scheme() *runtime.Scheme { return c.world.API.scheme }

// Get implements [client.Reader].
func (c *operatorClient) Get(
	ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption,
) error {
	c.run.waitForWrites(c.world.API.kindOf(into).Kind)
	return c.run.cache.Get(ctx, key, into, options...)
}

// List implements [client.Reader].
func (c *operatorClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	c.run.waitForWrites(strings.TrimSuffix(c.world.API.kindOf(list).Kind, "List"))
	return c.run.cache.List(ctx, list, options...)
}

// Create implements [client.Writer].
func (c *operatorClient) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	reason := c.run.takeReason()
	return c.write(object, func() error {
		err := c.world.API.Create(object)
		if err == nil {
			c.world.recordWhy(c.run.name(), "creates "+noun(object), c.world.described(object), reason)
		}
		return err
	})
}

// Delete implements [client.Writer].
func (c *operatorClient) Delete(_ context.Context, object client.Object, options ...client.DeleteOption) error {
	wanted, reason := (&client.DeleteOptions{}).ApplyOptions(options), c.run.reason
	return c.write(object, func() error {
		var uid *types.UID
		if wanted.Preconditions != nil {
			uid = wanted.Preconditions.UID
		}
		policy := ptr.Deref(wanted.PropagationPolicy, metav1.DeletePropagationBackground)
		before := c.world.API.count
		err := c.world.API.Delete(c.world.API.kindOf(object).Kind, client.ObjectKeyFromObject(object), uid, policy)
		if c.world.API.count > before {
			c.world.recordWhy(c.run.name(), "deletes "+noun(object), nameOf(object), reason)
		}
		return err
	})
}

// Patch implements [client.Writer], for merge and JSON patches.
func (c *operatorClient) Patch(
	_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption,
) error {
	reason := c.run.takeReason()
	return c.write(object, func() error {
		old, patched, err := c.patched(object, patch)
		if err != nil {
			return err
		}
		if c.world.API.replace(old, patched) {
			c.world.recordWhy(c.run.name(), "changes "+noun(patched), c.world.difference(old, patched), reason)
		}
		copyInto(object, patched)
		return nil
	})
}

// Status implements [client.Client].
func (c *operatorClient) Status() client.SubResourceWriter { return &statusClient{operatorClient: c} }

// statusClient writes the status of LeaderWorkerSets, DisaggregatedSets and scalers.
type statusClient struct {
	// A method that isn't overridden would panic. None is called.
	client.SubResourceWriter

	operatorClient *operatorClient
}

// Patch implements [client.SubResourceWriter], for merge patches.
func (s *statusClient) Patch(
	_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption,
) error {
	c := s.operatorClient
	return c.write(object, func() error {
		old, patched, err := c.patched(object, patch)
		if err != nil {
			return err
		}
		updated, words := withStatusOf(old, patched)
		if updated == nil {
			return fmt.Errorf("the operator must not write the status of %T", old)
		}
		c.world.API.replace(old, updated)
		c.world.record(c.run.name(), "status", words)
		copyInto(object, updated)
		return nil
	})
}

// withStatusOf returns an object with the status of another one, and that status in words. It is nil for kinds of which
// the operator must not write the status.
func withStatusOf(old, patched client.Object) (updated client.Object, words string) {
	updated = deepCopy(old)
	switch after := patched.(type) {
	case *leaderworkersetv1.LeaderWorkerSet:
		if lws, ok := updated.(*leaderworkersetv1.LeaderWorkerSet); ok {
			lws.Status = after.Status
			return updated, statusWords(&after.Status)
		}
	case *disaggregatedsetv1.DisaggregatedSet:
		if set, ok := updated.(*disaggregatedsetv1.DisaggregatedSet); ok {
			set.Status = after.Status
			return updated, rolesWords(&after.Status)
		}
	case *disaggregatedsetv1.DisaggregatedSetRoleScaler:
		if scaler, ok := updated.(*disaggregatedsetv1.DisaggregatedSetRoleScaler); ok {
			scaler.Status = after.Status
			return updated, fmt.Sprintf("scaler %s, replicas %d", after.Name, after.Status.Replicas)
		}
	}
	return nil, ""
}

// applied returns an object after a patch. A JSON patch whose test fails is an error, the same as a real API server's.
func applied(kind types.PatchType, before, data []byte) ([]byte, error) {
	if kind != types.JSONPatchType {
		return jsonpatch.MergePatch(before, data)
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, apierrors.NewGenericServerResponse(
			http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return after, nil
}

// patched returns an object as it is now, and after a patch. A resource version in the patch has to be the object's.
func (c *operatorClient) patched(object client.Object, patch client.Patch) (old, patched client.Object, err error) {
	kind := c.world.API.kindOf(object).Kind
	old = c.world.API.Get(kind, client.ObjectKeyFromObject(object))
	if old == nil {
		return nil, nil, apierrors.NewNotFound(resource(kind), object.GetName())
	}
	data, err := patch.Data(object)
	if err != nil {
		return nil, nil, err
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, nil, err
	}
	after, err := applied(patch.Type(), before, data)
	if err != nil {
		return nil, nil, err
	}
	patched = deepCopy(old)
	reflect.ValueOf(patched).Elem().SetZero()
	if err := json.Unmarshal(after, patched); err != nil {
		return nil, nil, err
	}
	if patched.GetResourceVersion() != old.GetResourceVersion() || patched.GetUID() != old.GetUID() {
		return nil, nil, apierrors.NewConflict(resource(kind), object.GetName(), errors.New("the object has been modified"))
	}
	return old, patched, nil
}

// write writes. In a random world, other actors may act before, the write may fail, or its answer may be lost.
func (c *operatorClient) write(object client.Object, do func() error) error {
	c.world.interrupt()
	switch {
	case c.run.ended:
		return context.Canceled
	case c.world.chance(refusedWrites):
		return apierrors.NewTooManyRequestsError("try again")
	}
	c.world.writing = c.run.current()
	err := do()
	c.world.writing = nil
	if c.world.chance(lostAnswers) {
		return apierrors.NewTimeoutError("the answer is lost", 1)
	}
	if err == nil {
		c.run.wrote(c.world.API.kindOf(object).Kind)
	}
	return err
}

// liveReader reads from the API, not from the cache.
type liveReader struct {
	// A method that isn't overridden would panic. None is called.
	client.Reader

	api *API
}

// Get implements [client.Reader].
func (r *liveReader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	kind := r.api.kindOf(into).Kind
	return read(r.api.Get(kind, key), kind, key, into)
}

// List implements [client.Reader], for namespaces and labels.
func (r *liveReader) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	wanted := (&client.ListOptions{}).ApplyOptions(options)
	var found []runtime.Object
	for _, object := range r.api.List(strings.TrimSuffix(r.api.kindOf(list).Kind, "List")) {
		if object.GetNamespace() == wanted.Namespace && wanted.LabelSelector.Matches(labels.Set(object.GetLabels())) {
			found = append(found, object)
		}
	}
	return meta.SetList(list, found)
}

// copyInto sets an object, or its metadata, to another one. Both share what they point to.
func copyInto(into, object client.Object) {
	if partial, ok := into.(*metav1.PartialObjectMetadata); ok {
		partial.ObjectMeta = meta.AsPartialObjectMetadata(object).ObjectMeta
		return
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(object).Elem())
}
