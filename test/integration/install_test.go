// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

// sharedCRDs are the only objects of both installs.
var sharedCRDs = []string{
	"CustomResourceDefinition disaggregatedsetrolescalers.disaggregatedset.x-k8s.io",
	"CustomResourceDefinition disaggregatedsets.disaggregatedset.x-k8s.io",
	"CustomResourceDefinition leaderworkersets.leaderworkerset.x-k8s.io",
}

// objectsOfOthers are the objects that the manifests of kubernetes-sigs/lws 0.5 to 0.10 install, with cert-manager and
// without.
var objectsOfOthers = append(slices.Clone(sharedCRDs),
	"Namespace lws-system",
	"ServiceAccount lws-controller-manager",
	"Role lws-leader-election-role",
	"RoleBinding lws-leader-election-rolebinding",
	"ClusterRole lws-manager-role",
	"ClusterRole lws-metrics-reader",
	"ClusterRole lws-proxy-role",
	"ClusterRoleBinding lws-manager-rolebinding",
	"ClusterRoleBinding lws-metrics-reader-rolebinding",
	"ClusterRoleBinding lws-proxy-rolebinding",
	"ConfigMap lws-manager-config",
	"Secret lws-webhook-server-cert",
	"Service lws-controller-manager-metrics-service",
	"Service lws-webhook-service",
	"Deployment lws-controller-manager",
	"MutatingWebhookConfiguration lws-mutating-webhook-configuration",
	"ValidatingWebhookConfiguration lws-validating-webhook-configuration",
	"Issuer lws-selfsigned-issuer",
	"Certificate lws-serving-cert",
	"Certificate lws-metrics-cert",
)

// podsOfOthers are the labels of the pods of that controller. Its Deployment and its Services select them by these.
var podsOfOthers = labels.Set{
	"app.kubernetes.io/instance": "lws", "app.kubernetes.io/name": "lws", "control-plane": "controller-manager",
}

// TestInstallBesideOtherController checks that the install of this operator has only the CRDs in common with that of
// another LeaderWorkerSet controller. Its Services, webhooks and bindings lead to its own pods. So the API server
// refuses no part of it, and `kubectl apply` over the other controller leaves that controller as it is. The operator
// then waits for its lease, see TestTakeover.
func TestInstallBesideOtherController(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "certmanager"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(suite.root, "config", name)
			var common []string
			for _, object := range kustomized(t, dir) {
				if slices.Contains(objectsOfOthers, object) {
					common = append(common, object)
				}
			}
			slices.Sort(common)
			if !slices.Equal(common, sharedCRDs) {
				t.Errorf("both installs have %v; want the CRDs alone", common)
			}
			decoded, err := objects.Decode(strings.NewReader(mustKubectl(t, "kustomize", dir)))
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range decoded {
				checkApart(t, object)
			}
		})
	}
}

// checkApart checks that an object of the install refers to the operator's own pods, Services and accounts.
func checkApart(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	what := object.GetKind() + " " + object.GetName()
	if namespace := object.GetNamespace(); namespace != "" && namespace != operatorNamespace {
		t.Errorf("%s is in namespace %s", what, namespace)
	}
	for _, path := range [][]string{{"spec", "selector"}, {"spec", "selector", "matchLabels"}} {
		selector, found, err := unstructured.NestedStringMap(object.Object, path...)
		if found && err == nil && labels.SelectorFromSet(selector).Matches(podsOfOthers) {
			t.Errorf("%s selects pods of the other controller: %v", what, selector)
		}
	}
	pods, found, err := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	if found && err == nil && labels.SelectorFromSet(podsOfOthers).Matches(labels.Set(pods)) {
		t.Errorf("%s has pods that the other controller's Services select: %v", what, pods)
	}
	for _, referrers := range []string{"webhooks", "subjects"} {
		all, _, _ := unstructured.NestedSlice(object.Object, referrers)
		for _, referrer := range all {
			if namespace := namespaceIn(referrer); namespace != operatorNamespace {
				t.Errorf("%s refers to namespace %q", what, namespace)
			}
		}
	}
}

// namespaceIn returns the namespace of the Service of a webhook, or that of the subject of a binding.
func namespaceIn(referrer any) string {
	object, ok := referrer.(map[string]any)
	if !ok {
		return ""
	}
	if service, found, _ := unstructured.NestedString(object, "clientConfig", "service", "namespace"); found {
		return service
	}
	subject, _, _ := unstructured.NestedString(object, "namespace")
	return subject
}
