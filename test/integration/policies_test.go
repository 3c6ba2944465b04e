// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
						Rule: admissionregistrationv1.Rule{
							APIGroups: []string{appsv1.GroupName}, APIVersions: []string{"v1"}, Resources: []string{"statefulsets"},
						},
					},
				}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: expression, Message: "policy of the test"}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        namespace,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
			}},
		},
	}
	for _, object := range []client.Object{policy, binding} {
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
		return err != nil && strings.Contains(err.Error(), "policy of the test"), nil
	})
	if err != nil {
		t.Fatalf("the policy isn't in force: %v", err)
	}
}
