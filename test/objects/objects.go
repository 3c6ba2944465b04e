// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package objects helps tests with objects of any kind. It decodes them from YAML, applies them to a cluster, and waits
// for conditions.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// fieldOwner is the field manager of Apply.
	fieldOwner = "lws-operator-test"
	// poll is the interval at which Until runs its check.
	poll = 100 * time.Millisecond
)

// Decode returns the objects in a stream of YAML documents, without empty documents.
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

// Apply creates or changes an object by server-side apply. It takes the fields over from other owners.
func Apply(ctx context.Context, admin client.Client, object *unstructured.Unstructured) error {
	configuration := client.ApplyConfigurationFromUnstructured(object)
	err := admin.Apply(ctx, configuration, client.FieldOwner(fieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// Until waits until a check returns no error. After the timeout, or when the context is done, Until returns the last
// error of a check. It ignores the error of a check that the end of the context has interrupted, because that error
// says nothing about the object.
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
		return fmt.Errorf("%w; last error: %w", err, last)
	}
	return nil
}

// PodReady reports whether a pod is ready and not terminating.
func PodReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
