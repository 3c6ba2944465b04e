// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// scorecardTests are the scorecard's own tests that need a cluster.
var scorecardTests = []string{
	"examples-admitted", "becomes-available", "rolls", "restarts-group", "scales", "rolls-roles",
}

// TestLocalScorecard runs the scorecard's program like a pod of `operator-sdk scorecard`. The program has the rights of
// its role in one namespace, and logs nothing but the results.
func TestLocalScorecard(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	program := filepath.Join(t.TempDir(), "scorecard")
	source := filepath.Join(suite.root, "scorecard")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", source, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the scorecard: %v\n%s", err, out)
	}
	arguments := []string{
		"-bundle", filepath.Join(suite.root, "bundle"), "-kubeconfig", scorecardUser(t, namespace), "-namespace", namespace,
	}
	log, err := exec.CommandContext(t.Context(), program, append(arguments, scorecardTests...)...).CombinedOutput()
	if err != nil {
		t.Errorf("the scorecard failed: %v", err)
	}
	var status struct {
		Results []struct {
			Name, State string
			Errors      []string
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(log))
	if err := decoder.Decode(&status); err != nil || decoder.More() {
		t.Fatalf("the log isn't a status, %v:\n%s", err, log)
	}
	check(t, "number of results", len(scorecardTests), len(status.Results))
	for i, result := range status.Results {
		check(t, "name", scorecardTests[i], result.Name)
		if result.State != "pass" || len(result.Errors) > 0 {
			t.Errorf("%s: %s, %q", result.Name, result.State, result.Errors)
		}
	}
}

// scorecardUser returns the kubeconfig of a user who has the scorecard's role in a namespace.
func scorecardUser(t *testing.T, namespace string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(suite.root, "scorecard", "cluster_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(data, role); err != nil {
		t.Fatal(err)
	}
	role.Name += "-" + namespace // ClusterRoles have no namespace.
	const user = "scorecard"
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user, Namespace: namespace},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}
	create(t, role, binding)
	kubeconfig, err := suite.cluster.UserKubeconfig(user)
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
