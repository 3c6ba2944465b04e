// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"
)

// maxJSONBytes is the largest size for which `kubectl apply` works. It stores the object's JSON form in an annotation,
// and the API server refuses annotations of more than 256 KiB in total. The limit leaves 1 KiB for annotations that
// others add, such as the one that requests a CA bundle.
const maxJSONBytes = 256<<10 - 1<<10

// fit returns the CustomResourceDefinition crd, in YAML, in the form that makeReadable gives it. It drops the
// descriptions below each schema property whose name is in fields. The properties keep their own descriptions, and all
// other descriptions stay. Keys are sorted, so the output depends only on the input.
//
// fit returns an error if crd isn't a CustomResourceDefinition, or if the result is still too large for `kubectl
// apply`. It also returns an error for a name without a property, since renaming a field would otherwise silently
// restore its descriptions.
func fit(crd []byte, fields []string) ([]byte, error) {
	object := map[string]any{}
	if err := yaml.Unmarshal(crd, &object); err != nil {
		return nil, err
	}
	if object["kind"] != "CustomResourceDefinition" {
		return nil, fmt.Errorf("want a CustomResourceDefinition, got kind %v", object["kind"])
	}

	t := trimmer{fields: fields, found: map[string]bool{}}
	t.visit(object["spec"])
	if err := t.missing(); err != nil {
		return nil, err
	}

	makeReadable(object["spec"])

	compact, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if len(compact) > maxJSONBytes {
		return nil, fmt.Errorf("%d bytes as JSON, more than the %d that `kubectl apply` can store",
			len(compact), maxJSONBytes)
	}
	fitted, err := yaml.Marshal(object)
	if err != nil {
		return nil, err
	}
	return append([]byte("---\n"), fitted...), nil
}

// trimmer walks a CustomResourceDefinition, and trims the properties whose names are in fields.
type trimmer struct {
	fields []string
	found  map[string]bool
}

// visit searches node for schemas with properties, and trims the properties named in fields.
func (t *trimmer) visit(node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			t.visit(item)
		}
	case map[string]any:
		for key, value := range node {
			if properties, ok := value.(map[string]any); ok && key == "properties" {
				t.visitProperties(properties)
			} else {
				t.visit(value)
			}
		}
	}
}

// visitProperties trims the properties named in fields, and searches the others.
func (t *trimmer) visitProperties(properties map[string]any) {
	for name, schema := range properties {
		if !slices.Contains(t.fields, name) {
			t.visit(schema)
			continue
		}
		t.found[name] = true
		for _, value := range asMap(schema) {
			dropDescriptions(value)
		}
	}
}

// missing returns an error that names the fields without a property.
func (t *trimmer) missing() error {
	var errs []error
	for _, field := range t.fields {
		if !t.found[field] {
			errs = append(errs, fmt.Errorf("no property %q in the schema", field))
		}
	}
	return errors.Join(errs...)
}

// dropDescriptions removes every description in and below node. A schema's description is a string. An object under
// that key is a property with this name, and stays.
func dropDescriptions(node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			dropDescriptions(item)
		}
	case map[string]any:
		if _, ok := node["description"].(string); ok {
			delete(node, "description")
		}
		for _, value := range node {
			dropDescriptions(value)
		}
	}
}

// asMap returns node's entries, or none if node isn't an object.
func asMap(node any) map[string]any {
	entries, _ := node.(map[string]any)
	return entries
}
