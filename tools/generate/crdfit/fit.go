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

// maxJSONBytes is the size up to which `kubectl apply` works: it stores the object's JSON form in an annotation, and the
// API server refuses annotations of more than 256 KiB in total. 1 KiB is left for annotations that others add, such as
// the one that asks for a CA bundle.
const maxJSONBytes = 256<<10 - 1<<10

// fit returns the CustomResourceDefinition crd, in YAML, made readable and without the descriptions below each schema property that is
// named in fields. The properties keep their own description, and every other description stays. The output depends on
// the input alone: keys are sorted.
//
// It is an error if crd isn't a CustomResourceDefinition, if it has no property of one of the names (so that renaming a
// field doesn't silently bring its descriptions back), or if the result is still too large for `kubectl apply`.
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
		return nil, fmt.Errorf("%d bytes as JSON, more than the %d that `kubectl apply` can store", len(compact), maxJSONBytes)
	}
	fitted, err := yaml.Marshal(object)
	if err != nil {
		return nil, err
	}
	return append([]byte("---\n"), fitted...), nil
}

// trimmer walks a CustomResourceDefinition in search of the properties named in fields.
type trimmer struct {
	fields []string
	found  map[string]bool
}

// visit searches node for schemas with properties, and trims those that are wanted.
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

// visitProperties trims the wanted ones among properties, by name, and searches the others.
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

// missing returns an error that names the fields no property was found for.
func (t *trimmer) missing() error {
	var errs []error
	for _, field := range t.fields {
		if !t.found[field] {
			errs = append(errs, fmt.Errorf("no property %q in the schema", field))
		}
	}
	return errors.Join(errs...)
}

// dropDescriptions removes every description in and below node. A schema's description is a string; an object under that
// key is a property that happens to have this name, and stays.
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

// asMap returns node's entries, none if it isn't an object.
func asMap(node any) map[string]any {
	entries, _ := node.(map[string]any)
	return entries
}
