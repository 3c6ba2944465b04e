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

// TestNameLimits checks the maximum length of a set's name. The longest name of a StatefulSet is that of the workers of
// the highest group, surge included. Without workers it is that of the leader StatefulSet. The StatefulSet's pods have
// a label that is 11 characters longer. Labels have at most 63 characters.
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
		{`{replicas: 5, ` + workers + `, ` + surge("2147483647") + `}`, 50}, // The surge is 5.
		{`{replicas: 6, ` + workers + `, ` + surge("2147483647") + `}`, 49},
		{`{replicas: 10, ` + workers + `, ` + surge("0%") + `}`, 50},
		{`{replicas: 10, ` + workers + `, ` + surge("1%") + `}`, 49}, // The surge is rounded up to 1.
		{`{replicas: 8, ` + workers + `, ` + surge("25%") + `}`, 50},
		{`{replicas: 8, ` + workers + `, ` + surge("26%") + `}`, 49}, // The surge is rounded up to 3.
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
					const message = "metadata.name: must be no more than %d characters with these replicas, size and maxSurge"
					refusal{root, fmt.Sprintf(message, tc.want)}.check(t, err)
				})
			}
		})
	}
}

// TestNamesAreLabels checks that names must be DNS-1035 labels, because Services have the same names.
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

// TestEditsKeepNamesShort checks that the API server refuses edits that make a name too long.
func TestEditsKeepNamesShort(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for i, tc := range []struct{ before, edit string }{
				{`{replicas: 10, leaderWorkerTemplate: {size: 2}}`, `{replicas: 11}`},
				{
					`{replicas: 10, leaderWorkerTemplate: {size: 2}}`,
					`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1}}}`,
				},
				{`{replicas: 11, leaderWorkerTemplate: {size: 1}}`, `{leaderWorkerTemplate: {size: 2}}`},
			} {
				name := fmt.Sprintf("%s%d", strings.Repeat("n", 49), i)
				err := edit(t, create(t, namespace, name, tc.before), tc.edit)
				refusal{root, "metadata.name: must be no more than 49 characters"}.check(t, err)
			}
		})
	}
}

// TestGeneratedNames checks that the rules apply to names that the API server generates.
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
