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

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	return c.run.cache.Get(ctx, key, into, options...)
}

// List implements [client.Reader].
func (c *operatorClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return c.run.cache.List(ctx, list, options...)
}

// Create implements [client.Writer].
func (c *operatorClient) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	reason := c.run.takeReason()
	return c.write(func() error {
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
	return c.write(func() error {
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
	return c.write(func() error {
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

// statusClient writes the status of LeaderWorkerSets.
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
	return c.write(func() error {
		old, patched, err := c.patched(object, patch)
		if err != nil {
			return err
		}
		before, isSet := old.(*leaderworkersetv1.LeaderWorkerSet)
		after, isStillSet := patched.(*leaderworkersetv1.LeaderWorkerSet)
		if !isSet || !isStillSet {
			return fmt.Errorf("the operator must not write the status of %T", old)
		}
		updated := before.DeepCopy()
		updated.Status = after.Status
		c.world.API.replace(old, updated)
		c.world.record(c.run.name(), "status", statusWords(&updated.Status))
		copyInto(object, updated)
		return nil
	})
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
func (c *operatorClient) write(do func() error) error {
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

// copyInto sets an object, or its metadata, to another one. Both share what they point to.
func copyInto(into, object client.Object) {
	if partial, ok := into.(*metav1.PartialObjectMetadata); ok {
		partial.ObjectMeta = meta.AsPartialObjectMetadata(object).ObjectMeta
		return
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(object).Elem())
}
