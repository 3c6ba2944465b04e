// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"
)

const (
	// container is the name of the operator's container in its Deployment.
	container = "manager"

	// examples is the annotation with the examples, as a JSON list.
	examples = "alm-examples"
)

// completion has the fields that a generated ClusterServiceVersion lacks.
type completion struct {
	icon    []byte // an SVG
	image   string // the operator's image
	created string // in the format of RFC 3339
	first   string // name of the example that comes first
}

// apply returns the completed ClusterServiceVersion, in YAML. It fails if the ClusterServiceVersion has no container of
// the operator, or no example with the name first.
func (c completion) apply(csv []byte) ([]byte, error) {
	var object map[string]any
	if err := yaml.UnmarshalStrict(csv, &object); err != nil {
		return nil, err
	}
	annotations, err := at[map[string]any](object, "metadata", "annotations")
	if err != nil {
		return nil, err
	}
	annotations["containerImage"] = c.image
	annotations["createdAt"] = c.created
	if annotations[examples], err = moveToFront(annotations[examples], c.first); err != nil {
		return nil, err
	}
	spec, err := at[map[string]any](object, "spec")
	if err != nil {
		return nil, err
	}
	icon := base64.StdEncoding.EncodeToString(c.icon)
	spec["icon"] = []any{map[string]any{"base64data": icon, "mediatype": "image/svg+xml"}}
	spec["relatedImages"] = []any{map[string]any{"name": container, "image": c.image}}
	if err := setImage(spec, c.image); err != nil {
		return nil, err
	}
	return yaml.Marshal(object)
}

// moveToFront returns a JSON list of objects with the object of that name first. The order of the others stays.
func moveToFront(list any, name string) (string, error) {
	text, ok := list.(string)
	if !ok {
		return "", fmt.Errorf("annotation %s: want a string, got %T", examples, list)
	}
	var objects []map[string]any
	if err := json.Unmarshal([]byte(text), &objects); err != nil {
		return "", fmt.Errorf("annotation %s: %w", examples, err)
	}
	i := slices.IndexFunc(objects, func(object map[string]any) bool {
		found, err := at[string](object, "metadata", "name")
		return err == nil && found == name
	})
	if i < 0 {
		return "", fmt.Errorf("annotation %s: no example %q", examples, name)
	}
	first := objects[i]
	objects = slices.Insert(slices.Delete(objects, i, i+1), 0, first)
	ordered, err := json.MarshalIndent(objects, "", "  ")
	return string(ordered), err
}

// setImage sets the image of the operator's container in all Deployments. At least one must have that container.
func setImage(spec map[string]any, image string) error {
	deployments, err := at[[]any](spec, "install", "spec", "deployments")
	if err != nil {
		return err
	}
	found := false
	for _, deployment := range deployments {
		containers, err := at[[]any](deployment, "spec", "template", "spec", "containers")
		if err != nil {
			return err
		}
		for _, each := range containers {
			if each, ok := each.(map[string]any); ok && each["name"] == container {
				each["image"] = image
				found = true
			}
		}
	}
	if !found {
		return errors.New("no container " + container)
	}
	return nil
}

// at returns the value at a path of fields.
func at[T any](value any, fields ...string) (T, error) {
	var none T
	for _, field := range fields {
		object, ok := value.(map[string]any)
		if !ok {
			return none, fmt.Errorf("%q isn't in an object but in a %T", field, value)
		}
		value = object[field]
	}
	found, ok := value.(T)
	if !ok {
		return none, fmt.Errorf("%v: want a %T, got a %T", fields, none, value)
	}
	return found, nil
}
