// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const crd = `kind: CustomResourceDefinition
metadata:
  name: bands.example.com
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: A Band.
        properties:
          spec:
            description: The desired state.
            properties:
              note:
                description: Kept.
                type: string
              claims:
                description: The claims.
                items:
                  description: A claim.
                  properties:
                    size:
                      description: Its size.
                      type: string
                type: array
              template:
                allOf:
                - description: Part of a rule.
                description: The template.
                properties:
                  description:
                    description: A property of that name.
                    type: string
                  template:
                    description: Nested.
                    type: object
`

const trimmed = `---
kind: CustomResourceDefinition
metadata:
  name: bands.example.com
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: A Band.
        properties:
          spec:
            description: The desired state.
            properties:
              claims:
                description: The claims.
                items:
                  properties:
                    size:
                      type: string
                type: array
              note:
                description: Kept.
                type: string
              template:
                allOf:
                - {}
                description: The template.
                properties:
                  description:
                    type: string
                  template:
                    type: object
`

func TestTrim(t *testing.T) {
	got, err := fit([]byte(crd), changes{below: []string{"claims", "template"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(trimmed, string(got)); diff != "" {
		t.Errorf("trim (-want +got):\n%s", diff)
	}

	again, err := fit(got, changes{below: []string{"claims", "template"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(again)); diff != "" {
		t.Errorf("trimming twice differs from trimming once (-once +twice):\n%s", diff)
	}
}

func TestTrimRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		crd    string
		fields []string
		want   string
	}{
		"text that isn't YAML": {crd: "\t", want: "yaml"},
		"another kind":         {crd: "kind: Pod", want: "got kind Pod"},
		"unknown fields": {crd: crd, fields: []string{"template", "tempo", "key"},
			want: "no property \"tempo\" in the schema\nno property \"key\" in the schema"},
		"a result that is too large": {crd: crd + strings.Repeat(" ", 20) + "note: " + strings.Repeat("x", maxJSONBytes),
			want: "more than the 261120"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fit([]byte(test.crd), changes{below: test.fields})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, got %v", test.want, err)
			}
		})
	}
}

func TestFitFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(file, []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}

	if err := fitFile(file, changes{below: []string{"tempo"}}); err == nil {
		t.Error("want an error for an unknown field, got none")
	}
	expectContent(t, file, crd)

	if err := fitFile(file, changes{below: []string{"claims", "template"}}); err != nil {
		t.Fatal(err)
	}
	expectContent(t, file, trimmed)
}

func expectContent(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestChanges drops a rule that makes a field immutable, keeps the others, and sets a default.
func TestChanges(t *testing.T) {
	const before = `kind: CustomResourceDefinition
spec:
  openAPIV3Schema:
    properties:
      bands:
        items:
          properties:
            name:
              type: string
              x-kubernetes-validations:
              - rule: self == oldSelf
            size:
              default: 1
              type: integer
              x-kubernetes-validations:
              - rule: self <= 10 || oldSelf.optMap(old, old > 10).orValue(false)
                optionalOldSelf: true
              - rule: self >= oldSelf
        type: array
      name:
        type: string
        x-kubernetes-validations:
        - rule: self == oldSelf
`
	const after = `---
kind: CustomResourceDefinition
spec:
  openAPIV3Schema:
    properties:
      bands:
        items:
          properties:
            name:
              type: string
            size:
              default: 4
              type: integer
              x-kubernetes-validations:
              - optionalOldSelf: true
                rule: self <= 10 || oldSelf.optMap(old, old > 10).orValue(false)
        type: array
      name:
        type: string
        x-kubernetes-validations:
        - rule: self == oldSelf
`
	got, err := fit([]byte(before), changes{mutable: []string{"bands"}, defaults: map[string]string{"size": "4"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, string(got)); diff != "" {
		t.Errorf("fit (-want +got):\n%s", diff)
	}
}
