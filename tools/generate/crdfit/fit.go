// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxJSONBytes is the largest size for which `kubectl apply` works. It stores the object's JSON form in an annotation,
// and the API server refuses annotations of more than 256 KiB in total. The limit leaves 1 KiB for annotations that
// others add, such as the one that requests a CA bundle.
const maxJSONBytes = 256<<10 - 1<<10

// changes are what fit changes besides what makeReadable does. All lists have names of schema properties.
type changes struct {
	// below are the properties whose descriptions go, but for their own.
	below []string

	// mutable are the properties below which no rule makes a field immutable.
	mutable []string

	// defaults are the new defaults of properties, in JSON.
	defaults map[string]string
}

// fit returns the CustomResourceDefinition crd, in YAML, with the wanted changes, and in the form that makeReadable
// gives it. Keys are sorted, so the output depends only on the input.
//
// fit returns an error if crd isn't a CustomResourceDefinition, or if the result is still too large for `kubectl
// apply`. It also returns an error for a name without a property, since renaming a field would otherwise silently
// restore its descriptions.
func fit(crd []byte, wanted changes) ([]byte, error) {
	object := map[string]any{}
	if err := yaml.Unmarshal(crd, &object); err != nil {
		return nil, err
	}
	if object["kind"] != "CustomResourceDefinition" {
		return nil, fmt.Errorf("want a CustomResourceDefinition, got kind %v", object["kind"])
	}

	if err := wanted.apply(object["spec"]); err != nil {
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

// apply changes the spec of a CustomResourceDefinition.
func (c changes) apply(spec any) error {
	each := func(trim func(any)) func(string, map[string]any) {
		return func(_ string, schema map[string]any) {
			for _, value := range schema {
				trim(value)
			}
		}
	}
	var unread error
	setDefault := func(name string, schema map[string]any) {
		var value any
		unread = errors.Join(unread, json.Unmarshal([]byte(c.defaults[name]), &value))
		schema["default"] = value
	}
	for _, t := range []*trimmer{
		{fields: c.below, trim: each(dropDescriptions)},
		{fields: c.mutable, trim: each(dropImmutability)},
		{fields: slices.Sorted(maps.Keys(c.defaults)), trim: setDefault},
	} {
		t.found = map[string]bool{}
		t.visit(spec)
		if err := t.missing(); err != nil {
			return err
		}
	}
	return unread
}

// trimmer walks a CustomResourceDefinition, and changes the schemas of the properties whose names are in fields.
type trimmer struct {
	fields []string
	trim   func(name string, schema map[string]any)
	found  map[string]bool
}

// visit searches node for schemas with properties, and changes the properties named in fields.
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

// visitProperties changes the properties named in fields, and searches the others.
func (t *trimmer) visitProperties(properties map[string]any) {
	for name, schema := range properties {
		if !slices.Contains(t.fields, name) {
			t.visit(schema)
			continue
		}
		t.found[name] = true
		t.trim(name, asMap(schema))
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

// dropImmutability removes every rule in and below node that compares a value with the previous one and has no say when
// there is none. A rule with optionalOldSelf stays: it only accepts what was there before.
func dropImmutability(node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			dropImmutability(item)
		}
	case map[string]any:
		if rules, ok := node["x-kubernetes-validations"].([]any); ok {
			rules = slices.DeleteFunc(rules, isTransition)
			node["x-kubernetes-validations"] = rules
			if len(rules) == 0 {
				delete(node, "x-kubernetes-validations")
			}
		}
		for _, value := range node {
			dropImmutability(value)
		}
	}
}

// isTransition reports whether a rule applies to changes only.
func isTransition(rule any) bool {
	fields := asMap(rule)
	text, _ := fields["rule"].(string)
	return strings.Contains(text, "oldSelf") && fields["optionalOldSelf"] != true
}

// asMap returns node's entries, or none if node isn't an object.
func asMap(node any) map[string]any {
	entries, _ := node.(map[string]any)
	return entries
}
