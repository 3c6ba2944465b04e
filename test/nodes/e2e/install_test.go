// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// operatorObjects returns the objects that make build-installer has written, with this image of the operator.
func operatorObjects(ctx context.Context, operatorImage string) ([]*unstructured.Unstructured, error) {
	installer := filepath.Join(suite.Root, "dist", "install.yaml")
	manifests, err := operator.Manifests(ctx, suite.Root, installer)
	if err != nil {
		return nil, fmt.Errorf("run make build-installer first: %w", err)
	}
	for _, object := range manifests {
		if object.GetKind() != "Deployment" {
			continue
		}
		if err := setImage(object, operatorImage); err != nil {
			return nil, err
		}
	}
	return manifests, nil
}

// setImage sets the image of a Deployment with one container.
func setImage(deployment *unstructured.Unstructured, image string) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(deployment.Object, path...)
	if err != nil {
		return err
	}
	if len(containers) != 1 {
		return fmt.Errorf("the Deployment %s has %d containers", deployment.GetName(), len(containers))
	}
	container, _ := containers[0].(map[string]any)
	if err := unstructured.SetNestedField(container, image, "image"); err != nil {
		return err
	}
	return unstructured.SetNestedSlice(deployment.Object, containers, path...)
}

// install creates the objects and returns when the webhooks of the operator answer.
func install(ctx context.Context, installed []*unstructured.Unstructured) error {
	for _, object := range installed {
		if err := objects.Apply(ctx, suite.Client, object); err != nil {
			return err
		}
	}
	err := bed.Until(ctx, func(ctx context.Context) error {
		deployment, err := suite.OperatorDeployment(ctx)
		if err != nil {
			return err
		}
		return bed.RolledOut(deployment)
	})
	if err != nil {
		return fmt.Errorf("wait for the operator: %w", err)
	}
	// The API server observes a webhook's endpoints with delay.
	err = bed.Until(ctx, func(ctx context.Context) error {
		return suite.Client.Create(ctx, suite.NewSet("default", "any", 1, 1), client.DryRunAll)
	})
	if err != nil {
		return fmt.Errorf("wait for the webhooks: %w", err)
	}
	return nil
}

// remove deletes the objects in reverse order, and waits until none exists.
func remove(ctx context.Context, objects []*unstructured.Unstructured) error {
	var errs []error
	for _, object := range slices.Backward(objects) {
		errs = append(errs, client.IgnoreNotFound(suite.Client.Delete(ctx, object, client.PropagationPolicy("Background"))))
	}
	errs = append(errs, bed.Until(ctx, func(ctx context.Context) error {
		for _, object := range objects {
			err := suite.Client.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopy())
			if err == nil {
				return fmt.Errorf("%s %s still exists", object.GetKind(), object.GetName())
			} else if !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	}))
	return errors.Join(errs...)
}
