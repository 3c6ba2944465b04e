// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// object is one object of a kustomization.
type object map[string]any

// unstructured returns the object with the accessors of the API machinery.
func (o object) unstructured() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: o}
}

// id names an object within a kustomization: kind and name.
func (o object) id() string { return o.kind() + "/" + o.unstructured().GetName() }

func (o object) kind() string { return o.unstructured().GetKind() }

// build builds an overlay of kustomizations below root, such as config/default. Components are added to them.
func build(root string, overlay types.Kustomization) ([]object, error) {
	directory, err := os.MkdirTemp(root, "overlay-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(directory) }() // Nothing reads the directory later.
	overlay.FixKustomization()
	content, err := yaml.Marshal(overlay)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(directory, "kustomization.yaml"), content, 0o644); err != nil {
		return nil, err
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, resource := range built.Resources() {
		content, err := resource.Map()
		if err != nil {
			return nil, err
		}
		objects = append(objects, content)
	}
	return objects, nil
}
