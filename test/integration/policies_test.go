// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestPoliciesOnStatefulSets checks that a policy on StatefulSets doesn't refuse a set. The webhook's dry run creates
// StatefulSets without owners and with other names, so the policy's verdict on them says nothing of the real ones.
func TestPoliciesOnStatefulSets(t *testing.T) {
	for _, tc := range []struct{ name, expression string }{
		{"owners", `has(object.metadata.ownerReferences)`},
		{"name", `object.metadata.name == 'set'`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, webhooksOn)
			enforce(t, namespace, tc.expression)
			set := create(t, namespace, "set",
				`{leaderWorkerTemplate: {size: 2, leaderTemplate: {spec: {containers: [{name: a, image: a}]}}}}`)
			if err := edit(t, set, `{leaderWorkerTemplate: {size: 3}}`); err != nil {
				t.Errorf("edit: %v", err)
			}
			err := suite.client.Create(t.Context(), newSet(t, namespace, "unfit", invalidTemplates[0].spec))
			invalidTemplates[0].want[0].check(t, err)
			for _, cause := range causes(err) {
				if cause.Field == "" {
					t.Errorf("a cause has no field: %+v", cause)
				}
			}
			if err != nil && strings.Contains(err.Error(), ": : ") {
				t.Errorf("a field has no path: %v", err)
			}
		})
	}
}

// enforce creates a policy on new StatefulSets in a namespace, and waits until the API server applies the policy.
func enforce(t *testing.T, namespace, expression string) {
	t.Helper()
	const message = "policy of the test"
	statefulSets := metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	for _, object := range objects.Policy(namespace, statefulSets, expression, message) {
		if err := suite.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := suite.client.Delete(context.Background(), object); err != nil {
				t.Error(err)
			}
		})
	}
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		err := suite.client.Create(ctx, statefulSet(namespace), dryRun)
		return err != nil && strings.Contains(err.Error(), message), nil
	})
	if err != nil {
		t.Fatalf("the policy isn't in force: %v", err)
	}
}
