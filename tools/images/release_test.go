// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"sigs.k8s.io/yaml"
)

var (
	root          = filepath.Join("..", "..")
	architectures = []string{"amd64", "arm64", "ppc64le", "s390x"}
)

// buildAll builds all images from placeholders for the programs, and returns the directory of the archives.
func buildAll(t *testing.T) string {
	t.Helper()
	programs, output := t.TempDir(), t.TempDir()
	for _, architecture := range architectures {
		dir := filepath.Join(programs, architecture)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"manager", "opm", "grpc_health_probe", "scorecard"} {
			if err := os.WriteFile(filepath.Join(dir, program), []byte(program+" for "+architecture), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := run(t.Context(), []string{
		"build", "-root", root, "-programs", filepath.Join(programs, "{arch}"), "-output", output,
		"-repository", "example.com/lws-operator", "-version", "1.2.3", "-created", "2026-01-31T00:00:00Z",
		"operator", "bundle", "catalog", "scorecard",
	})
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// TestPush pushes all images to a registry, and pulls them.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	archives, mirror := buildAll(t), strings.TrimPrefix(server.URL, "http://")+"/mirror"
	for image, test := range map[string]struct {
		name       string
		entrypoint []string
		labels     map[string]string // some of the labels
	}{
		"operator":  {name: "lws-operator:v1.2.3", entrypoint: []string{"/manager"}},
		"bundle":    {name: "lws-operator-bundle:v1.2.3", labels: labelsOfDockerfile(t, "bundle.Dockerfile")},
		"scorecard": {name: "lws-operator-scorecard:v1.2.3", entrypoint: []string{"/scorecard"}},
		"catalog": {name: "lws-operator-catalog:latest", entrypoint: []string{"/bin/opm"},
			labels: labelsOfDockerfile(t, "catalog.Dockerfile")},
	} {
		t.Run(image, func(t *testing.T) {
			archive := filepath.Join(archives, image+".tar")
			if err := run(t.Context(), []string{"push", "-registry", mirror, archive}); err != nil {
				t.Fatal(err)
			}
			reference, err := name.ParseReference(mirror + "/" + test.name)
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Index(reference)
			if err != nil {
				t.Fatal(err)
			}
			checkIndex(t, index, test.entrypoint, test.labels)
		})
	}
}

// checkIndex checks that an index has an image for each architecture, with this entrypoint and these labels.
func checkIndex(t *testing.T, index v1.ImageIndex, entrypoint []string, labels map[string]string) {
	t.Helper()
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, each := range manifest.Manifests {
		one, err := index.Image(each.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := one.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, config.Architecture)
		if !regexp.MustCompile(`^[1-9]\d*:`).MatchString(config.Config.User) {
			t.Errorf("%s: user %q; want a number other than root's", config.Architecture, config.Config.User)
		}
		if diff := cmp.Diff(entrypoint, config.Config.Entrypoint); diff != "" {
			t.Errorf("%s: entrypoint (-want +got):\n%s", config.Architecture, diff)
		}
		for key, value := range labels {
			if got := config.Config.Labels[key]; got != value {
				t.Errorf("%s: label %s: got %q; want %q", config.Architecture, key, got, value)
			}
		}
		if got := config.Config.Labels["org.opencontainers.image.version"]; got != "1.2.3" {
			t.Errorf("%s: version %q", config.Architecture, got)
		}
	}
	if diff := cmp.Diff(architectures, found); diff != "" {
		t.Errorf("architectures (-want +got):\n%s", diff)
	}
}

// labelsOfDockerfile returns the labels that a Dockerfile sets.
func labelsOfDockerfile(t *testing.T, file string) map[string]string {
	t.Helper()
	opened, err := os.Open(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	lines := bufio.NewScanner(opened)
	for lines.Scan() {
		if label, is := strings.CutPrefix(lines.Text(), "LABEL "); is {
			key, value, _ := strings.Cut(label, "=")
			labels[key] = value
		}
	}
	if err := errors.Join(lines.Err(), opened.Close()); err != nil {
		t.Fatal(err)
	}
	if len(labels) == 0 {
		t.Fatalf("%s has no labels", file)
	}
	return labels
}

// TestArchitectures checks that the ClusterServiceVersion names the architectures of the images.
func TestArchitectures(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "bundle", "manifests", "lws-operator.clusterserviceversion.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var csv struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(data, &csv); err != nil {
		t.Fatal(err)
	}
	var supported []string
	for label := range csv.Metadata.Labels {
		if architecture, is := strings.CutPrefix(label, "operatorframework.io/arch."); is {
			supported = append(supported, architecture)
		}
	}
	slices.Sort(supported)
	if diff := cmp.Diff(architectures, supported); diff != "" {
		t.Errorf("architectures of the bundle (-images +bundle):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	archive := filepath.Join(buildAll(t), "bundle.tar")
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"no command":      {nil, "usage"},
		"unknown command": {[]string{"pull"}, `unknown command "pull"`},
		"no time":         {[]string{"build", "-version", "1.2.3", "operator"}, "-created"},
		"no version":      {[]string{"build", "-created", "2026-01-31T00:00:00Z", "operator"}, "usage"},
		"unknown image": {[]string{
			"build", "-output", t.TempDir(), "-version", "1.2.3", "-created", "2026-01-31T00:00:00Z", "other",
		}, "no such image"},
		"nothing to push":  {[]string{"push"}, "usage"},
		"no archive":       {[]string{"push", "nowhere.tar"}, "nowhere.tar"},
		"no such registry": {[]string{"push", "-registry", "!", archive}, "could not parse reference"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), test.arguments); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want an error with %q", err, test.want)
			}
		})
	}
}
