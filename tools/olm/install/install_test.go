// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package install checks the manifests in config/olm, by which OLM installs the operator. OLM must be able to read
// them, and they must refer to each other and to the catalog.
package install

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/operator-registry/alpha/declcfg"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var root = filepath.Join("..", "..", "..")

// clusterCatalog has the fields of OLM v1's ClusterCatalog that config/olm sets. The type of OLM itself has too many
// dependencies.
type clusterCatalog struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Source struct {
			Type  string `json:"type"`
			Image struct {
				Ref                 string `json:"ref"`
				PollIntervalMinutes int    `json:"pollIntervalMinutes"`
			} `json:"image"`
		} `json:"source"`
	} `json:"spec"`
}

// clusterExtension has the fields of OLM v1's ClusterExtension that config/olm sets.
type clusterExtension struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Namespace string `json:"namespace"`
		Source    struct {
			SourceType string `json:"sourceType"`
			Catalog    struct {
				PackageName string   `json:"packageName"`
				Channels    []string `json:"channels"`
			} `json:"catalog"`
		} `json:"source"`
	} `json:"spec"`
}

// TestV0 checks the manifests for OLM v0.
func TestV0(t *testing.T) {
	source := read[operatorsv1alpha1.CatalogSource](t, "catalog_source")
	group := read[operatorsv1.OperatorGroup](t, "operator_group")
	subscription := read[operatorsv1alpha1.Subscription](t, "subscription")
	namespace := read[corev1.Namespace](t, "namespace")

	check(t, "kind of the source", operatorsv1alpha1.SchemeGroupVersion.WithKind("CatalogSource"),
		source.GroupVersionKind())
	check(t, "kind of the group", operatorsv1.GroupVersion.WithKind("OperatorGroup"), group.GroupVersionKind())
	check(t, "kind of the subscription", operatorsv1alpha1.SchemeGroupVersion.WithKind("Subscription"),
		subscription.GroupVersionKind())

	check(t, "namespace of the group", namespace.Name, group.Namespace)
	check(t, "namespaces that the group limits operators to", 0, len(group.Spec.TargetNamespaces))
	check(t, "namespace of the subscription", namespace.Name, subscription.Namespace)
	check(t, "source of the subscription", source.Name, subscription.Spec.CatalogSource)
	check(t, "namespace of that source", source.Namespace, subscription.Spec.CatalogSourceNamespace)
	checkChannel(t, subscription.Spec.Package, subscription.Spec.Channel)
}

// TestV1 checks the manifests for OLM v1.
func TestV1(t *testing.T) {
	catalog := read[clusterCatalog](t, "cluster_catalog")
	extension := read[clusterExtension](t, "cluster_extension")
	namespace := read[corev1.Namespace](t, "namespace")

	check(t, "version of the catalog", "olm.operatorframework.io/v1", catalog.APIVersion)
	check(t, "kind of the catalog", "ClusterCatalog", catalog.Kind)
	check(t, "version of the extension", "olm.operatorframework.io/v1", extension.APIVersion)
	check(t, "kind of the extension", "ClusterExtension", extension.Kind)

	check(t, "source of the catalog", "Image", catalog.Spec.Source.Type)
	check(t, "image of the catalog", read[operatorsv1alpha1.CatalogSource](t, "catalog_source").Spec.Image,
		catalog.Spec.Source.Image.Ref)
	check(t, "source of the extension", "Catalog", extension.Spec.Source.SourceType)
	check(t, "namespace of the extension", namespace.Name, extension.Spec.Namespace)
	check(t, "channels of the extension", 1, len(extension.Spec.Source.Catalog.Channels))
	checkChannel(t, extension.Spec.Source.Catalog.PackageName, extension.Spec.Source.Catalog.Channels[0])
}

// read reads a manifest of config/olm, and fails the test for an unknown field.
func read[T any](t *testing.T, name string) *T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "config", "olm", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	object := new(T)
	if err := yaml.UnmarshalStrict(data, object); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return object
}

// checkChannel checks that the catalog has a channel.
func checkChannel(t *testing.T, pkg, name string) {
	t.Helper()
	catalog, err := declcfg.LoadFS(t.Context(), os.DirFS(filepath.Join(root, "catalog")))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(catalog.Channels, func(c declcfg.Channel) bool { return c.Package == pkg && c.Name == name }) {
		t.Errorf("the catalog has no channel %s of package %s", name, pkg)
	}
}

func check[T comparable](t *testing.T, what string, want, got T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v; want %v", what, got, want)
	}
}
