// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/pages"
)

// TestDocumentedSets sends each whole set of the documentation to the API server, with the webhooks, without storing
// it.
func TestDocumentedSets(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	all, err := pages.All(suite.root)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range all {
		for _, block := range page.Blocks {
			object := &unstructured.Unstructured{}
			if block.Language != "yaml" || yaml.Unmarshal([]byte(block.Text), &object.Object) != nil || !isSet(object) {
				continue
			}
			found++
			object.SetNamespace(namespace)
			if err := suite.client.Create(t.Context(), object, dryRun); err != nil {
				t.Errorf("%s:%d: %v", page.Path, block.Line, err)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d sets", found)
	}
}

// isSet reports whether an object is a LeaderWorkerSet or a DisaggregatedSet.
func isSet(object *unstructured.Unstructured) bool {
	group := object.GroupVersionKind().GroupVersion()
	return group == leaderworkersetv1.GroupVersion || group == disaggregatedsetv1.GroupVersion
}
