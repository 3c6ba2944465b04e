// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/operator-framework/api/pkg/apis/scorecard/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/nodes/image"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// TestScorecard runs all tests of the bundle's scorecard configuration, in pods under restricted pod security.
func TestScorecard(t *testing.T) {
	subscribe(t, published.prepared())
	untilInstalled(t, published.prepared())
	namespace := suite.NewNamespace(t)
	account := allowScorecard(t, namespace)
	pushBuiltInTests(t)
	untar, err := suite.Push(t.Context(), filepath.Join(suite.Root, "test", "nodes"), "./untar", "untar")
	if err != nil {
		t.Fatal(err)
	}

	command := exec.CommandContext(t.Context(),
		filepath.Join(suite.Root, "bin", "operator-sdk"), "scorecard", published.bundle(published.prepared()),
		"--kubeconfig", flag.Lookup("kubeconfig").Value.String(), "--namespace", namespace, "--service-account", account,
		"--pod-security", "restricted", "--untar-image", untar, "--wait-time", "10m", "--output", "json")
	command.Dir = t.TempDir() // The command leaves a directory behind.
	text, err := output(command)
	if err != nil {
		t.Error(err) // The results, if any, have the details.
	}
	var tests v1alpha3.TestList
	if err := json.Unmarshal(text, &tests); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, test := range tests.Items {
		for _, result := range test.Status.Results {
			t.Logf("%s: %s", result.Name, result.State)
			if result.State != v1alpha3.PassState {
				t.Errorf("%s: %q\n%s", result.Name, result.Errors, result.Log)
			}
		}
	}
}

// pushBuiltInTests pushes the image of the scorecard's built-in tests, under its name in the bundle's configuration.
func pushBuiltInTests(t *testing.T) {
	t.Helper()
	const program = "scorecard-test"
	data, err := os.ReadFile(filepath.Join(published.bundle(published.prepared()), "tests", "scorecard", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration v1alpha3.Configuration
	if err := yaml.Unmarshal(data, &configuration); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, stage := range configuration.Stages {
		for _, test := range stage.Tests {
			if test.Entrypoint[0] == program {
				names[test.Image] = true
			}
		}
	}
	for name := range names {
		content := image.Image{
			Programs:   map[string]string{"/bin/" + program: filepath.Join(suite.Root, "bin", program)},
			Entrypoint: "/bin/" + program, User: bed.User,
		}
		if _, err := image.Push(t.Context(), name, content); err != nil {
			t.Fatal(err)
		}
	}
}

// allowScorecard makes a service account for the scorecard, with the permissions that its tests need, and returns its
// name.
func allowScorecard(t *testing.T, namespace string) string {
	t.Helper()
	const account = "scorecard"
	roles, err := operator.Manifests(t.Context(), suite.Root, filepath.Join(suite.Root, "scorecard", "cluster_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if err := objects.Apply(t.Context(), suite.Client, role); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := suite.Client.Delete(context.WithoutCancel(t.Context()), role); err != nil {
				t.Error(err)
			}
		})
	}
	suite.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: roles[0].GetName()},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
		})
	return account
}
