// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	// crd is the name of the CustomResourceDefinition.
	crd = "leaderworkersets.leaderworkerset.x-k8s.io"
	// service and secret are OLM's names of the webhooks' Service and of the Secret with its certificate. OLM derives them
	// from the name of the Deployment.
	service, secret = "lws-controller-manager-service", "lws-controller-manager-service-cert" //nolint:gosec // A name.
	// caHash is the annotation with the hash of the authority that OLM has made.
	caHash = "olmcahash"
	// pollInterval is how often OLM pulls the catalog's image.
	pollInterval = "10s"
)

// subscription is an installation of the operator by OLM.
type subscription struct {
	// catalog is the name of the CatalogSource, and part of the name of the catalog's image.
	catalog string
	// objects are the objects that an administrator creates to install the operator.
	objects []client.Object
}

// subscribe lets OLM install the operator by the manifests of config/olm, with the changes. The catalog has the
// versions up to head. The end of the test uninstalls the operator.
func subscribe(t *testing.T, head string, changes ...func(*operatorsv1alpha1.Subscription)) *subscription {
	t.Helper()
	// OLM caches the content of a catalog by its name, so each test has a catalog with another name.
	name := strings.ToLower(t.Name()) + "-" + rand.String(5)
	image, err := published.publishCatalog(t.Context(), name, head)
	if err != nil {
		t.Fatal(err)
	}
	s := &subscription{catalog: name}
	t.Cleanup(func() { s.cleanUp(t) })
	for _, file := range []string{"namespace", "catalog_source", "operator_group", "subscription"} {
		object := read(t, file)
		switch object := object.(type) {
		case *operatorsv1alpha1.CatalogSource:
			object.Name = name
			object.Spec.Image = image
			object.Spec.UpdateStrategy.RawInterval = pollInterval
		case *operatorsv1alpha1.Subscription:
			object.Spec.CatalogSource = name
			for _, change := range changes {
				change(object)
			}
		}
		suite.Create(t, object)
		s.objects = append(s.objects, object)
	}
	return s
}

// read returns the object in a file of config/olm.
func read(t *testing.T, file string) client.Object {
	t.Helper()
	manifests, err := operator.Manifests(t.Context(), suite.Root, filepath.Join(suite.Root, "config", "olm", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(manifests) != 1 {
		t.Fatalf("%s has %d objects", file, len(manifests))
	}
	object, err := typed(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// typed converts an object into its Go type.
func typed(manifest *unstructured.Unstructured) (client.Object, error) {
	created, err := suite.Client.Scheme().New(manifest.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	object, ok := created.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%T isn't an object", created)
	}
	return object, runtime.DefaultUnstructuredConverter.FromUnstructured(manifest.Object, object)
}

// move publishes a catalog with the versions up to head, under the same name. A real release does the same.
func (s *subscription) move(t *testing.T, head string) {
	t.Helper()
	if _, err := published.publishCatalog(t.Context(), s.catalog, head); err != nil {
		t.Fatal(err)
	}
}

// untilInstalled waits until a version is completely installed.
func untilInstalled(t *testing.T, version string) {
	t.Helper()
	bed.Eventually(t, func(ctx context.Context) error { return installed(ctx, version) })
}

// installed returns an error unless a version is completely installed, and nothing of other versions is left. A
// ClusterServiceVersion in the phase Succeeded isn't enough: OLM may still renew the certificate, and roll out the
// Deployment for that.
func installed(ctx context.Context, version string) error {
	var current operatorsv1alpha1.Subscription
	key := client.ObjectKey{Namespace: operator.Namespace, Name: packageName}
	if err := suite.Client.Get(ctx, key, &current); err != nil {
		return err
	}
	if current.Status.State != operatorsv1alpha1.SubscriptionStateAtLatest || current.Status.InstalledCSV != csv(version) {
		return fmt.Errorf("the Subscription is %q with %q", current.Status.State, current.Status.InstalledCSV)
	}
	return completed(ctx, version)
}

// completed returns an error unless the ClusterServiceVersion of a version is the only one, has succeeded, and is the
// only owner of the certificate. It also checks that the operator's Deployment uses that certificate and is rolled out.
func completed(ctx context.Context, version string) error {
	var versions operatorsv1alpha1.ClusterServiceVersionList
	if err := suite.Client.List(ctx, &versions, client.InNamespace(operator.Namespace)); err != nil {
		return err
	}
	if len(versions.Items) != 1 {
		return fmt.Errorf("there are %d ClusterServiceVersions", len(versions.Items))
	}
	current := versions.Items[0]
	if current.Name != csv(version) || current.Status.Phase != operatorsv1alpha1.CSVPhaseSucceeded {
		return fmt.Errorf("%s is %q: %s", current.Name, current.Status.Phase, current.Status.Message)
	}
	var certificate corev1.Secret
	key := client.ObjectKey{Namespace: operator.Namespace, Name: secret}
	if err := suite.Client.Get(ctx, key, &certificate); err != nil {
		return err
	}
	if owners := certificate.OwnerReferences; len(owners) != 1 || owners[0].UID != current.UID {
		return fmt.Errorf("the owners of the certificate are %+v", owners)
	}
	deployment, err := suite.OperatorDeployment(ctx)
	if err != nil {
		return err
	}
	if want, got := certificate.Annotations[caHash], deployment.Spec.Template.Annotations[caHash]; got != want {
		return fmt.Errorf("the Deployment has the authority %q, and the certificate has %q", got, want)
	}
	return bed.RolledOut(deployment)
}

// uninstall deletes the objects that docs/install/olm.md names, and waits until OLM has removed the operator.
func uninstall(ctx context.Context) error {
	label := client.HasLabels{"operators.coreos.com/" + packageName + "." + operator.Namespace}
	var subscription operatorsv1alpha1.Subscription
	subscription.Namespace, subscription.Name = operator.Namespace, packageName
	namespace := client.InNamespace(operator.Namespace)
	err := errors.Join(
		client.IgnoreNotFound(suite.Client.Delete(ctx, &subscription)),
		suite.Client.DeleteAllOf(ctx, &operatorsv1alpha1.ClusterServiceVersion{}, namespace, label))
	if err != nil {
		return err
	}
	return bed.Until(ctx, removed)
}

// removed returns an error until no object exists that OLM made for the operator.
func removed(ctx context.Context) error {
	for name, object := range map[string]client.Object{
		"lws-controller-manager": &appsv1.Deployment{},
		service:                  &corev1.Service{},
		secret:                   &corev1.Secret{},
	} {
		err := suite.Client.Get(ctx, client.ObjectKey{Namespace: operator.Namespace, Name: name}, object)
		if err == nil {
			return fmt.Errorf("%T %s still exists", object, name)
		} else if !apierrors.IsNotFound(err) {
			return err
		}
	}
	hooks, err := webhooks(ctx)
	if err == nil && len(hooks) > 0 {
		return fmt.Errorf("webhooks still exist: %q", hooks)
	}
	return err
}

// webhooks returns the names of the webhook configurations that call the operator.
func webhooks(ctx context.Context) ([]string, error) {
	var names []string
	registrations := suite.Clientset.AdmissionregistrationV1()
	mutating, err := registrations.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, configuration := range mutating.Items {
		if madeForOperator(&configuration) {
			names = append(names, configuration.Name)
		}
	}
	validating, err := registrations.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, configuration := range validating.Items {
		if madeForOperator(&configuration) {
			names = append(names, configuration.Name)
		}
	}
	return names, nil
}

// madeForOperator reports whether OLM made a cluster-wide object for the operator.
func madeForOperator(object client.Object) bool {
	return object.GetLabels()["olm.owner.namespace"] == operator.Namespace
}

// cleanUp removes everything that the test has installed, and the CRD together with all sets.
func (s *subscription) cleanUp(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if t.Failed() {
		suite.Dump(ctx, t, operator.Namespace)
	}
	if err := uninstall(ctx); err != nil {
		t.Error(err)
	}
	definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crd}}
	for _, object := range append(s.objects, definition) {
		err := suite.Client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationForeground))
		if client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	}
	err := bed.Until(ctx, func(ctx context.Context) error {
		for _, object := range append(s.objects, definition) {
			if err := suite.Client.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%T %s still exists: %w", object, object.GetName(), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
