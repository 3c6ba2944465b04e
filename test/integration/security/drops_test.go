// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	// poll is the interval of looks at an operator's log.
	poll = 100 * time.Millisecond

	// listing makes the operator list objects before it watches them, as it does where the API server doesn't stream
	// lists. Otherwise the right to watch is enough.
	listing = "KUBE_FEATURE_WatchListClient=false"
)

// The kustomizations of two installations. In the second one, the operator has its rights in single namespaces.
const (
	everywhere = `resources: ["{root}/config/default"]`
	selected   = everywhere + "\n" + `components: ["{root}/config/selected-namespaces"]`
)

// rightsInNamespace gives the operator its rights in a single namespace, as docs/operate/configuration.md does.
const rightsInNamespace = `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lws-operator, namespace: lws-operator-sets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lws-operator-manager-role}
subjects: [{kind: ServiceAccount, name: lws-operator-controller-manager, namespace: lws-operator-system}]
`

// electionRole has rights that the operator has anyway if it has its rights everywhere: to record events.
const electionRole = "lws-operator-leader-election-role"

// dayLater is the right that the operator needs a day after it has replaced its authority. TestRetirementWithoutRights
// in test/integration/certificates drops it.
var dayLater = right{verb: "get", resource: "secrets", names: "lws-webhook-authority"}

// TestRights runs an operator with all rights of its roles, and one without each of them. With all rights, the scenario
// ends and no request is denied. Without one of them, the operator says which one it lacks.
func TestRights(t *testing.T) {
	inNamespace := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(rightsInNamespace), &inNamespace.Object); err != nil {
		t.Fatal(err)
	}
	of := map[string][]*unstructured.Unstructured{
		"all": render(t, everywhere), "some": append(render(t, selected), inNamespace),
	}
	dropped := map[string]bool{}
	drop := func(installation, role string) {
		if dropped[role] {
			return // The other installation has the role as well.
		}
		dropped[role] = true
		for n, right := range rightsOf(roles(t, of[installation])[role]) {
			if right == dayLater {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", role, right), func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("%s-%d", strings.TrimPrefix(role, prefix), n)
				testWithout(t, name, of[installation], role, right)
			})
		}
	}
	for installation, manifests := range of {
		t.Run("with all rights/"+installation, func(t *testing.T) {
			t.Parallel()
			testWithAll(t, installation, manifests)
		})
	}
	drop("some", electionRole)
	for _, installation := range []string{"all", "some"} {
		for _, role := range sortedRoles(roles(t, of[installation])) {
			drop(installation, role)
		}
	}
}

// testWithAll checks that the rights are enough.
func testWithAll(t *testing.T, name string, manifests []*unstructured.Unstructured) {
	t.Helper()
	i := install(t, name, manifests, "", right{}, nil)
	if err := i.run(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, i.logged())
	}
	for line := range strings.Lines(i.logged()) {
		if strings.Contains(line, "cannot ") {
			t.Errorf("a request was denied: %s", line)
		}
	}
}

// testWithout checks that the operator says in its log that it lacks a right, before the end of the scenario.
func testWithout(t *testing.T, name string, manifests []*unstructured.Unstructured, role string, missing right) {
	t.Helper()
	var env []string
	if missing.verb == "list" {
		env = append(env, listing)
	}
	i := install(t, name, manifests, role, missing, env)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- i.run(ctx) }()
	began := time.Now()
	for ticker := time.NewTicker(poll); ; {
		if missing.saidBy(i.logged()) {
			said := time.Since(began)
			cancel()
			t.Logf("said after %.1f s; the scenario: %v", said.Seconds(), <-ended)
			return
		}
		select {
		case <-ticker.C:
		case err := <-ended:
			if !missing.saidBy(i.logged()) {
				t.Errorf("nobody says that the operator lacks a right; the scenario: %v\n%s", err, i.logged())
			}
			return
		}
	}
}
