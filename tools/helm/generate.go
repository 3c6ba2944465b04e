// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// files are the parts of the chart that are written by hand: its description, its values and the notes.
//
//go:embed all:chart
var files embed.FS

// namespace is the namespace of the kustomizations. The chart puts the namespace of the release in its place.
const namespace = "lws-operator-system"

// Conditions of objects, as expressions of templates.
const (
	withCRDs        = ".Values.crds.enabled"
	withCertManager = ".Values.certManager.enabled"
	withReplicas    = "gt (int .Values.replicas) 1"
)

// option is a part of the chart that a value turns on: what an overlay adds to config/default.
type option struct {
	condition string
	overlay   types.Kustomization
}

var options = []option{
	{".Values.networkPolicy.enabled", types.Kustomization{
		Namespace: namespace, NamePrefix: "lws-operator-", Resources: []string{"../config/network-policy"},
	}},
	{".Values.prometheus.enabled", withComponent("../config/prometheus")},
	{".Values.grafana.enabled", withComponent("../config/grafana")},
}

func withComponent(component string) types.Kustomization {
	return types.Kustomization{Resources: []string{"../config/default"}, Components: []string{component}}
}

// variant is an object of the chart, and the condition under which the chart has it; "" if it always has it.
type variant struct {
	condition string
	object
}

// generate returns the chart of a version. All its files have the time modTime.
func generate(root, version string, modTime time.Time) (*chartv2.Chart, error) {
	variants, err := collect(root)
	if err != nil {
		return nil, err
	}
	content, err := writtenByHand(version)
	if err != nil {
		return nil, err
	}
	for _, variant := range variants {
		text, err := variant.template()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variant.id(), err)
		}
		name := "templates/" + strings.ToLower(strings.ReplaceAll(variant.id(), "/", "_")) + ".yaml"
		content[name] = append(content[name], text...)
	}
	var buffered []*archive.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(content)) { // The package has the files in this order.
		buffered = append(buffered, &archive.BufferedFile{Name: name, Data: content[name], ModTime: modTime})
	}
	return loader.LoadFiles(buffered)
}

// writtenByHand returns the files of the chart that don't come from a kustomization, by name.
func writtenByHand(version string) (map[string][]byte, error) {
	content := map[string][]byte{}
	err := fs.WalkDir(files, "chart", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		content[strings.TrimPrefix(path, "chart/")] = data
		return err
	})
	if err != nil {
		return nil, err
	}
	var metadata chartv2.Metadata
	if err := yaml.UnmarshalStrict(content["Chart.yaml"], &metadata); err != nil {
		return nil, err
	}
	metadata.Version, metadata.AppVersion = version, version
	content["Chart.yaml"], err = yaml.Marshal(metadata)
	return content, err
}

// collect returns the objects of all kustomizations that the chart is made of.
func collect(root string) ([]variant, error) {
	base, err := build(root, types.Kustomization{Resources: []string{"../config/default"}})
	if err != nil {
		return nil, err
	}
	certManager, err := build(root, types.Kustomization{Resources: []string{"../config/certmanager"}})
	if err != nil {
		return nil, err
	}
	variants := alternatives(base, certManager)
	for _, option := range options {
		objects, err := build(root, option.overlay)
		if err != nil {
			return nil, err
		}
		for _, object := range added(base, objects) {
			variants = append(variants, variant{option.condition, object})
		}
	}
	return variants, nil
}

// alternatives returns the objects of two kustomizations. Those that differ are there twice: as they are without
// cert-manager, and as they are with it. Helm makes the namespace itself.
func alternatives(base, certManager []object) []variant {
	others := byID(certManager)
	var variants []variant
	for _, object := range base {
		other, both := others[object.id()]
		switch {
		case object.kind() == "Namespace":
		case object.kind() == "CustomResourceDefinition":
			variants = append(variants, variant{withCRDs, object})
		case object.kind() == "PodDisruptionBudget": // With one replica, it would forbid every drain of that node.
			variants = append(variants, variant{withReplicas, object})
		case both && reflect.DeepEqual(object, other):
			variants = append(variants, variant{"", object})
		default:
			variants = append(variants, variant{"not " + withCertManager, object})
			if both {
				variants = append(variants, variant{withCertManager, other})
			}
		}
	}
	for _, object := range added(base, certManager) {
		variants = append(variants, variant{withCertManager, object})
	}
	return variants
}

// added returns the objects that are not in base.
func added(base, objects []object) []object {
	known := byID(base)
	var result []object
	for _, object := range objects {
		if _, ok := known[object.id()]; !ok {
			result = append(result, object)
		}
	}
	return result
}

func byID(objects []object) map[string]object {
	result := map[string]object{}
	for _, object := range objects {
		result[object.id()] = object
	}
	return result
}
