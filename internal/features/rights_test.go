// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package features

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"
)

// TestDeniedBy asks an API server that allows some verbs in some namespaces.
func TestDeniedBy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what       string
		namespaces []string
		allowed    func(attributes *authorizationv1.ResourceAttributes) bool
		want       string
	}{
		{what: "all", allowed: func(*authorizationv1.ResourceAttributes) bool { return true }},
		{what: "none", allowed: func(*authorizationv1.ResourceAttributes) bool { return false }, want: "create"},
		{
			what: "only in one namespace", namespaces: []string{"a", "b"}, want: "create",
			allowed: func(of *authorizationv1.ResourceAttributes) bool { return of.Namespace == "a" },
		},
		{
			what: "no watch", want: "watch",
			allowed: func(of *authorizationv1.ResourceAttributes) bool { return of.Verb != "watch" },
		},
	} {
		asked := interceptor.Funcs{Create: func(
			_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption,
		) error {
			review, ok := object.(*authorizationv1.SelfSubjectAccessReview)
			if !ok {
				t.Fatalf("created a %T", object)
			}
			of := review.Spec.ResourceAttributes
			review.Status.Allowed = tc.allowed(of) && of.Group == "scheduling.k8s.io" && of.Resource == "podgroups"
			return nil
		}}
		api := fake.NewClientBuilder().WithInterceptorFuncs(asked).Build()
		got, err := DeniedBy(api, tc.namespaces)(t.Context(), "v1beta1")
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.what, got, err, tc.want)
		}
	}
	type watcher = client.WithWatch
	fails := interceptor.Funcs{Create: func(context.Context, watcher, client.Object, ...client.CreateOption) error {
		return errors.New("the server is away")
	}}
	api := fake.NewClientBuilder().WithInterceptorFuncs(fails).Build()
	if _, err := DeniedBy(api, nil)(t.Context(), "v1beta1"); err == nil {
		t.Error("no error")
	}
}

// TestVerbs compares the rights that the operator asks for with those that the component gives.
func TestVerbs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "podgroups", "cluster_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		t.Fatal(err)
	}
	if len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Verbs, verbs) {
		t.Errorf("%v, want the verbs %v", role.Rules, verbs)
	}
}
