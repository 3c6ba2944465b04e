// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package objects is what tests do with objects of any kind: read them from YAML, apply them to a cluster, wait for them.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// fieldOwner owns what Apply sets.
	fieldOwner = "lws-operator-test"
	// poll is the interval at which Until looks.
	poll = 100 * time.Millisecond
)

// Decode returns the objects in a stream of YAML documents. Empty documents are left out.
func Decode(documents io.Reader) ([]*unstructured.Unstructured, error) {
	var decoded []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(documents, 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return decoded, nil
		case err != nil:
			return nil, err
		case len(object.Object) > 0:
			decoded = append(decoded, object)
		}
	}
}

// Apply creates an object, or changes it to what it has to be, whoever else has set its fields.
func Apply(ctx context.Context, admin client.Client, object *unstructured.Unstructured) error {
	err := admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(fieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// Until waits until a check finds nothing wrong. After the timeout, or when the context is done, the error holds what it found last: not
// that of a check that was cut short, which says nothing about the object.
func Until(ctx context.Context, timeout time.Duration, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, poll, timeout, true, func(ctx context.Context) (bool, error) {
		found := check(ctx)
		if last == nil || ctx.Err() == nil {
			last = found
		}
		return found == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w; last seen: %w", err, last)
	}
	return nil
}
