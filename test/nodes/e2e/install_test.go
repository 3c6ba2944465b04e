// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	// certManager is the group of the objects that cert-manager would make certificates from.
	certManager = "cert-manager.io"
	// injectAnnotation is where a webhook configuration names its certificate, <namespace>/<name>.
	injectAnnotation = certManager + "/inject-ca-from"
)

// operatorObjects are those of config/default, for an image of the operator, and for a cluster without cert-manager: what it would do is
// done here.
func operatorObjects(ctx context.Context, operatorImage string) ([]*unstructured.Unstructured, error) {
	manifests, err := operator.Manifests(ctx, suite.Root, filepath.Join(suite.Root, "config", "default"))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	bundles := map[string][]byte{} // of certificates, by namespace and name
	for _, object := range manifests {
		switch {
		case object.GroupVersionKind().Group != certManager:
			objects = append(objects, object)
		case object.GetKind() == "Certificate":
			secret, err := issue(object)
			if err != nil {
				return nil, err
			}
			bundles[object.GetNamespace()+"/"+object.GetName()] = secret.Data[corev1.TLSCertKey]
			converted, err := asUnstructured(secret)
			if err != nil {
				return nil, err
			}
			objects = append(objects, converted)
		}
	}
	for _, object := range objects {
		if err := complete(object, operatorImage, bundles); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return objects, nil
}

// issue makes the Secret that a Certificate asks for. It is signed by an authority of its own, which is part of the same bundle.
func issue(certificate *unstructured.Unstructured) (*corev1.Secret, error) {
	name, _, err := unstructured.NestedString(certificate.Object, "spec", "secretName")
	if err != nil {
		return nil, err
	}
	hosts, _, err := unstructured.NestedStringSlice(certificate.Object, "spec", "dnsNames")
	if err != nil {
		return nil, err
	}
	if name == "" || len(hosts) == 0 {
		return nil, fmt.Errorf("the Certificate %s names no Secret or no hosts", certificate.GetName())
	}
	bundle, key, err := cert.GenerateSelfSignedCertKey(hosts[0], nil, hosts[1:])
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: bundle, corev1.TLSPrivateKeyKey: key},
	}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	secret.SetNamespace(certificate.GetNamespace())
	secret.SetName(name)
	return secret, nil
}

// complete gives a Deployment the operator's image, and a webhook configuration its bundle.
func complete(object *unstructured.Unstructured, operatorImage string, bundles map[string][]byte) error {
	if object.GetKind() == "Deployment" {
		return setInList(object, []string{"spec", "template", "spec", "containers"}, operatorImage, "image")
	}
	if name, found := object.GetAnnotations()[injectAnnotation]; found {
		bundle := base64.StdEncoding.EncodeToString(bundles[name])
		return setInList(object, []string{"webhooks"}, bundle, "clientConfig", "caBundle")
	}
	return nil
}

// setInList sets a field of every object in a list.
func setInList(object *unstructured.Unstructured, list []string, value string, field ...string) error {
	items, _, err := unstructured.NestedSlice(object.Object, list...)
	if err != nil {
		return err
	}
	for _, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			return errors.New("an object is none")
		}
		if err := unstructured.SetNestedField(fields, value, field...); err != nil {
			return err
		}
	}
	return unstructured.SetNestedSlice(object.Object, items, list...)
}

// install creates the objects and returns when the operator serves.
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
	// The API server learns of a webhook's endpoints a moment after they are there.
	err = bed.Until(ctx, func(ctx context.Context) error {
		return suite.Client.Create(ctx, suite.NewSet("default", "any", 1, 1), client.DryRunAll)
	})
	if err != nil {
		return fmt.Errorf("wait for the webhooks: %w", err)
	}
	return nil
}

// remove deletes the objects, last ones first, and waits until they are gone.
func remove(ctx context.Context, objects []*unstructured.Unstructured) error {
	var errs []error
	for _, object := range slices.Backward(objects) {
		errs = append(errs, client.IgnoreNotFound(suite.Client.Delete(ctx, object, client.PropagationPolicy("Background"))))
	}
	errs = append(errs, bed.Until(ctx, func(ctx context.Context) error {
		for _, object := range objects {
			err := suite.Client.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopy())
			if err == nil {
				return fmt.Errorf("%s %s is still there", object.GetKind(), object.GetName())
			} else if !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	}))
	return errors.Join(errs...)
}

// asUnstructured converts an object.
func asUnstructured(object client.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	return &unstructured.Unstructured{Object: fields}, err
}
