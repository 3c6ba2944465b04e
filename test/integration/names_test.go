// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestNameLimits checks the longest name that each set may have. Its longest StatefulSet, which is that of the workers of the highest
// group, surge included, or without workers that of the leaders, has pods with a label that is 11 characters longer, 63 at most.
func TestNameLimits(t *testing.T) {
	const workers = "leaderWorkerTemplate: {size: 2}"
	surge := func(value string) string {
		return "rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: " + value + "}}"
	}
	tests := []struct {
		spec string
		want int
	}{
		{`{}`, 52},
		{`{replicas: 1000000, ` + surge("100%") + `}`, 52},
		{`{replicas: 0, ` + workers + `}`, 50},
		{`{replicas: 1, ` + workers + `}`, 50},
		{`{replicas: 10, ` + workers + `}`, 50},
		{`{replicas: 11, ` + workers + `}`, 49},
		{`{replicas: 100, ` + workers + `}`, 49},
		{`{replicas: 101, ` + workers + `}`, 48},
		{`{replicas: 1000000, ` + workers + `}`, 45},
		{`{replicas: 1000000, ` + workers + `, ` + surge("1") + `}`, 44},
		{`{replicas: 1000000, ` + workers + `, ` + surge("9999%") + `}`, 44},
		{`{replicas: 0, ` + workers + `, ` + surge("100") + `}`, 50},
		{`{replicas: 9, ` + workers + `, ` + surge("1") + `}`, 50},
		{`{replicas: 10, ` + workers + `, ` + surge("1") + `}`, 49},
		{`{replicas: 5, ` + workers + `, ` + surge("2147483647") + `}`, 50}, // A surge of 5.
		{`{replicas: 6, ` + workers + `, ` + surge("2147483647") + `}`, 49},
		{`{replicas: 10, ` + workers + `, ` + surge("0%") + `}`, 50},
		{`{replicas: 10, ` + workers + `, ` + surge("1%") + `}`, 49}, // Rounded up to 1.
		{`{replicas: 8, ` + workers + `, ` + surge("25%") + `}`, 50},
		{`{replicas: 8, ` + workers + `, ` + surge("26%") + `}`, 49}, // Rounded up to 3.
		{`{replicas: 5, ` + workers + `, ` + surge("9999%") + `}`, 50},
		{`{replicas: 90, ` + workers + `, ` + surge("012%") + `}`, 48},
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for _, tc := range tests {
				t.Run(tc.spec, func(t *testing.T) {
					longest := strings.Repeat("n", tc.want)
					if err := suite.client.Create(t.Context(), newSet(t, namespace, longest, tc.spec), dryRun); err != nil {
						t.Errorf("with a name of %d characters: %v", tc.want, err)
					}
					err := suite.client.Create(t.Context(), newSet(t, namespace, longest+"n", tc.spec), dryRun)
					refusal{root, fmt.Sprintf("metadata.name: must be no more than %d characters with these replicas, size and maxSurge", tc.want)}.check(t, err)
				})
			}
		})
	}
}

// TestNamesAreLabels checks that names are DNS-1035 labels: Services are called like them.
func TestNamesAreLabels(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for _, name := range []string{"a", "a1", "a-1", "a--b", "xn--a"} {
				if err := suite.client.Create(t.Context(), newSet(t, namespace, name, `{}`), dryRun); err != nil {
					t.Errorf("name %q: %v", name, err)
				}
			}
			for _, name := range []string{"1", "1a", "a.b"} {
				t.Run(name, func(t *testing.T) {
					err := suite.client.Create(t.Context(), newSet(t, namespace, name, `{}`), dryRun)
					refusal{root, "metadata.name: must be a DNS-1035 label"}.check(t, err)
				})
			}
			for _, name := range []string{"A", "-a", "a-", "a_b", "ä", "a.", strings.Repeat("n", 254)} {
				t.Run(name, func(t *testing.T) {
					err := suite.client.Create(t.Context(), newSet(t, namespace, name, `{}`), dryRun)
					refusal{"metadata.name", ""}.check(t, err)
				})
			}
		})
	}
}

// TestEditsKeepNamesShort checks that no edit makes a name too long.
func TestEditsKeepNamesShort(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for i, tc := range []struct{ before, edit string }{
				{`{replicas: 10, leaderWorkerTemplate: {size: 2}}`, `{replicas: 11}`},
				{`{replicas: 10, leaderWorkerTemplate: {size: 2}}`, `{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1}}}`},
				{`{replicas: 11, leaderWorkerTemplate: {size: 1}}`, `{leaderWorkerTemplate: {size: 2}}`},
			} {
				name := fmt.Sprintf("%s%d", strings.Repeat("n", 49), i)
				err := edit(t, create(t, namespace, name, tc.before), tc.edit)
				refusal{root, "metadata.name: must be no more than 49 characters"}.check(t, err)
			}
		})
	}
}

// TestGeneratedNames checks that the rules are about the name that the API server makes up.
func TestGeneratedNames(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			generated := func(prefix string) *unstructured.Unstructured {
				set := newSet(t, namespace, "", `{}`)
				set.SetGenerateName(prefix)
				return set
			}
			if err := suite.client.Create(t.Context(), generated("short-"), dryRun); err != nil {
				t.Error(err)
			}
			err := suite.client.Create(t.Context(), generated(strings.Repeat("n", 48)), dryRun)
			refusal{root, "metadata.name: must be no more than 52 characters"}.check(t, err)
			if err := suite.client.Create(t.Context(), generated("1-"), dryRun); !apierrors.IsInvalid(err) {
				t.Errorf("a generated name that starts with a digit: %v; want it refused", err)
			}
		})
	}
}
