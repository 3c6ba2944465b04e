// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

const root = "../.."

var modTime = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// TestSameAsKustomizations checks that each value gives what its kustomization gives.
func TestSameAsKustomizations(t *testing.T) {
	overlay := func(resource string, components ...string) types.Kustomization {
		return types.Kustomization{Resources: []string{"../config/" + resource}, Components: components}
	}
	plain := overlay("default")
	for name, tt := range map[string]struct {
		values  string
		overlay []types.Kustomization
		change  func(map[string]object)
	}{
		"nothing is set": {``, []types.Kustomization{plain}, nil},
		"without the CRD": {`crds: {enabled: false}`,
			[]types.Kustomization{overlay("default", "../config/without-crd")}, nil},
		"with cert-manager": {`certManager: {enabled: true}`, []types.Kustomization{overlay("certmanager")}, nil},
		"with policies":     {`networkPolicy: {enabled: true}`, []types.Kustomization{plain, options[0].overlay}, nil},
		"with metrics": {`prometheus: {enabled: true}`,
			[]types.Kustomization{overlay("default", "../config/prometheus")}, nil},
		"with dashboards": {`grafana: {enabled: true}`, []types.Kustomization{overlay("default", "../config/grafana")}, nil},
		"all about metrics": {`{prometheus: {enabled: true}, grafana: {enabled: true}}`,
			[]types.Kustomization{overlay("monitoring")}, nil},
		"a single replica": {`replicas: 1`, []types.Kustomization{plain}, func(objects map[string]object) {
			delete(objects, "PodDisruptionBudget/lws-operator-controller-manager")
			deployment := objects["Deployment/lws-operator-controller-manager"].unstructured()
			_ = unstructured.SetNestedField(deployment.Object, 1., "spec", "replicas") // The object is a Deployment.
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var kustomized []object
			for _, overlay := range tt.overlay {
				objects, err := build(root, overlay)
				if err != nil {
					t.Fatal(err)
				}
				kustomized = append(kustomized, objects...)
			}
			want := normalized(kustomized)
			delete(want, "Namespace/"+namespace)
			if tt.change != nil {
				tt.change(want)
			}
			if diff := cmp.Diff(want, normalized(render(t, tt.values))); diff != "" {
				t.Errorf("-kustomize +helm:\n%s", diff)
			}
		})
	}
}

// normalized returns objects by their ids, without fields that mean the same as none.
func normalized(objects []object) map[string]object {
	result := byID(objects)
	for id, object := range result {
		content, _ := yaml.Marshal(object)
		content = bytes.ReplaceAll(content, []byte("managed-by: kustomize"), []byte("managed-by: Helm"))
		_ = yaml.Unmarshal(content, &object)
		if object.kind() == "Deployment" {
			var deployment appsv1.Deployment
			_ = yaml.Unmarshal(content, &deployment)
			spec := &deployment.Spec.Template.Spec
			if first := &spec.Containers[0]; first.ImagePullPolicy == corev1.PullIfNotPresent {
				first.ImagePullPolicy = "" // Kubernetes' default for a tag other than latest.
			}
			if spec.Affinity != nil && *spec.Affinity == (corev1.Affinity{}) {
				spec.Affinity = nil
			}
			content, _ = yaml.Marshal(deployment)
			object = nil
			_ = yaml.Unmarshal(content, &object)
		}
		result[id] = object
	}
	return result
}

// TestValues checks what single values do to the Deployment and its configuration.
func TestValues(t *testing.T) {
	for name, tt := range map[string]struct {
		values, id string
		want       []string
	}{
		"an image by digest": {`image: {repository: example.com/lws, digest: "sha256:` + strings.Repeat("a", 64) + `"}`,
			"Deployment", []string{"image: example.com/lws@sha256:aaaa"}},
		"an image by tag": {`image: {tag: dev, pullPolicy: Always, pullSecrets: [{name: registry}]}`, "Deployment",
			[]string{"image: ghcr.io/leaderworkerset/lws-operator:dev", "imagePullPolicy: Always", "- name: registry"}},
		"a place": {`{nodeSelector: {pool: system}, priorityClassName: system-cluster-critical,
			tolerations: [{key: system, operator: Exists}]}`, "Deployment",
			[]string{"pool: system", "priorityClassName: system-cluster-critical", "- key: system"}},
		"labels and annotations": {`{podLabels: {team: a, control-plane: x}, podAnnotations: {note: b}}`, "Deployment",
			[]string{"team: a", "note: b", "control-plane: controller-manager", "default-container: manager"}},
		"flags": {`extraArgs: [--zap-log-level=debug]`, "Deployment",
			[]string{"- --zap-log-level=debug", "- --metrics-service="}},
		"a configuration": {`config: {clientConnection: {qps: 50}}`, "ConfigMap",
			[]string{"kind: OperatorConfiguration\n", "clientConnection:\n      qps: 50"}},
		"pods of a configuration": {`config: {clientConnection: {qps: 50}}`, "Deployment", []string{"checksum/config: "}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, object := range render(t, tt.values) {
				if object.kind() != tt.id {
					continue
				}
				content, _ := yaml.Marshal(object)
				for _, want := range tt.want {
					if !strings.Contains(string(content), want) {
						t.Errorf("%q isn't in:\n%s", want, content)
					}
				}
				return
			}
			t.Error("the chart has no " + tt.id)
		})
	}
}

// TestMistakes checks that the schema refuses values that would do something else than somebody expects.
func TestMistakes(t *testing.T) {
	for values, want := range map[string]string{
		`replicaCount: 3`:                       "additional properties 'replicaCount' not allowed",
		`image: {digest: abc}`:                  "does not match pattern",
		`crds: {enabled: "no"}`:                 "got string, want boolean",
		`config: {kind: OperatorConfiguration}`: "false schema",
		`replicas: -1`:                          "minimum",
	} {
		if _, err := renderValues(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v doesn't say %q", values, err, want)
		}
	}
}

// TestPackage checks that the package is the same each time, that Helm's linter approves it, and that the release
// record of it fits into a Secret.
func TestPackage(t *testing.T) {
	var packages [2][]byte
	for i := range packages {
		chart, err := generate(root, "0.2.0", modTime)
		if err != nil {
			t.Fatal(err)
		}
		file, err := chartutil.Save(chart, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if packages[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packages[0], packages[1]) {
		t.Error("the packages of two runs differ")
	}
	// A release record has the chart and the manifest, compressed; in a Secret, base64 makes 4 bytes of 3, twice.
	if size := 2 * len(packages[0]) * 16 / 9; size > 1<<20 {
		t.Errorf("a release record has about %d bytes: more than a Secret holds", size)
	}
	directory := t.TempDir()
	if err := chartutil.SaveDir(generated(t), directory); err != nil {
		t.Fatal(err)
	}
	result := lint.RunAll(filepath.Join(directory, "lws-operator"), nil, namespace)
	for _, message := range result.Messages {
		t.Error(message)
	}
}

// generateOnce is for tests that don't change the chart.
var generateOnce = sync.OnceValues(func() (*chartv2.Chart, error) { return generate(root, "0.2.0", modTime) })

func generated(t *testing.T) *chartv2.Chart {
	t.Helper()
	chart, err := generateOnce()
	if err != nil {
		t.Fatal(err)
	}
	return chart
}

func renderValues(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	parsed := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &parsed); err != nil {
		t.Fatal(err)
	}
	chart := generated(t)
	release := common.ReleaseOptions{Name: "lws", Namespace: namespace, IsInstall: true}
	combined, err := util.ToRenderValues(chart, parsed, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, combined)
}

// render returns the objects that the chart installs with the given values.
func render(t *testing.T, values string) []object {
	t.Helper()
	files, err := renderValues(t, values)
	if err != nil {
		t.Fatal(err)
	}
	var objects []object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for document := range strings.SplitSeq(files[name], "---\n") {
			var object object
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			if object != nil {
				objects = append(objects, object)
			}
		}
	}
	return objects
}
