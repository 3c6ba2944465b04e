// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestPlacementAnnotations asks for placements that don't exist or exclude each other, at creation and later. Without
// the webhooks nothing is refused, and a set that has such annotations can be edited with the webhooks.
func TestPlacementAnnotations(t *testing.T) {
	t.Parallel()
	const spec = `{leaderWorkerTemplate: {size: 2}}`
	const exclusive, share = prefix + "exclusive-topology", prefix + "share-topology"
	const scope = prefix + "exclusive-topology-scope"
	at := func(key string) string { return "metadata.annotations[" + key + "]" }
	namespace := newNamespace(t, webhooksOn)
	for i, tc := range []struct {
		annotations map[string]string
		want        refusal
	}{
		{map[string]string{exclusive: "a/b/c"}, refusal{at(exclusive), "a valid label key must consist of"}},
		{map[string]string{share: "not a label"}, refusal{at(share), "name part must consist of"}},
		{map[string]string{exclusive: "rack", share: "rack"}, refusal{at(share), "must be another node label"}},
		{map[string]string{share: "rack", scope: "LeaderWorkerSet"}, refusal{at(scope), "needs " + exclusive}},
		{
			map[string]string{exclusive: "rack", scope: "Cluster"},
			refusal{at(scope), `supported values: "LeaderWorkerSet", "Namespace"`},
		},
	} {
		set := newSet(t, namespace, nameOf(i), spec)
		set.SetAnnotations(tc.annotations)
		tc.want.check(t, suite.client.Create(t.Context(), set))
		set = create(t, namespace, nameOf(i), spec)
		tc.want.check(t, annotate(t, set, tc.annotations))
	}

	stored := newSet(t, newNamespace(t, webhooksOff), "stored", spec)
	stored.SetAnnotations(map[string]string{scope: "Cluster"})
	if err := suite.client.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	switchTo(t, stored.GetNamespace(), webhooksOn)
	if err := edit(t, stored, `{replicas: 2}`); err != nil {
		t.Errorf("edit of a set that has the annotation: %v", err)
	}
	valid := map[string]string{exclusive: "rack", scope: "LeaderWorkerSet", share: "zone"}
	if err := annotate(t, stored, valid); err != nil {
		t.Errorf("annotations that are right: %v", err)
	}
}

// annotate sets annotations of a set.
func annotate(t *testing.T, set client.Object, annotations map[string]string) error {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		t.Fatal(err)
	}
	return suite.client.Patch(t.Context(), set, client.RawPatch(types.MergePatchType, patch))
}
