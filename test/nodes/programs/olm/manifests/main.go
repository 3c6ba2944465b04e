// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command manifests prints the objects of the Operator Lifecycle Manager as YAML documents, from the Helm chart in its
// module. The CustomResourceDefinitions come first, then the other objects in the order of the chart's files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	dir := flag.String("chart", "", "directory of the chart")
	olm := flag.String("olm", "", "image of OLM")
	opm := flag.String("opm", "", "image with opm, which unpacks bundles")
	flag.Parse()
	if err := run(*dir, *olm, *opm); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

// run prints the objects.
func run(dir, olm, opm string) error {
	if dir == "" || olm == "" || opm == "" {
		return errors.New("all flags are required")
	}
	loaded, err := loader.Load(dir)
	if err != nil {
		return err
	}
	for _, crd := range loaded.CRDObjects() {
		printDocument(string(crd.File.Data))
	}
	return printTemplates(loaded, values(olm, opm))
}

// values returns the values that differ from the chart's defaults, or that have no default: the namespaces of a release
// of OLM, and the images.
func values(olm, opm string) chartutil.Values {
	image := map[string]any{"ref": olm, "pullPolicy": "IfNotPresent"}
	return chartutil.Values{
		"namespace":                    "olm",
		"catalog_namespace":            "olm",
		"operator_namespace":           "operators",
		"namespace_psa":                map[string]any{"enforceLevel": "restricted"},
		"writePackageServerStatusName": "",
		"olm":                          map[string]any{"image": image},
		"catalog": map[string]any{
			"image":        image,
			"commandArgs":  "--configmapServerImage=" + opm,
			"opmImageArgs": "--opmImage=" + opm,
		},
		"package": map[string]any{"image": image, "replicaCount": 1, "securityContext": map[string]any{"runAsUser": 1000}},
	}
}

// printTemplates renders the chart's templates with the values, and prints the result.
func printTemplates(loaded *chart.Chart, values chartutil.Values) error {
	complete, err := chartutil.ToRenderValues(loaded, values, chartutil.ReleaseOptions{Name: "olm", Namespace: "olm"}, nil)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(loaded, complete)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if path.Ext(name) == ".yaml" && !strings.HasPrefix(path.Base(name), "_") {
			printDocument(rendered[name])
		}
	}
	return nil
}

// printDocument prints one or more YAML documents, unless the text is empty.
func printDocument(text string) {
	if strings.TrimSpace(text) != "" {
		fmt.Printf("---\n%s\n", strings.TrimSpace(text))
	}
}
