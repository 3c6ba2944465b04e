// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/tools/images/image"
)

// release has the sources and the metadata of images.
type release struct {
	// root is the root directory of the repository.
	root string

	// programs is the directory of the programs for an architecture. {arch} in it stands for the architecture's name.
	programs string

	// repository is the name of the operator's image, without a tag.
	repository string

	version       string
	created       time.Time
	architectures []string
}

// write writes one of the images into an archive.
func (r *release) write(short, file string) error {
	spec, name, err := r.spec(short)
	if err != nil {
		return err
	}
	index, err := spec.Index()
	if err != nil {
		return err
	}
	return image.Write(file, name, index)
}

// spec returns the contents and the full name of an image, by its short name. The Dockerfiles of the repository build
// the same images from base images.
func (r *release) spec(short string) (spec *image.Spec, name string, err error) {
	switch short {
	case "operator":
		return r.operator(), r.repository + ":v" + r.version, nil
	case "bundle":
		spec, err := r.bundle()
		return spec, r.repository + "-bundle:v" + r.version, err
	case "catalog":
		return r.catalog(), r.repository + "-catalog:latest", nil
	case "scorecard":
		return r.scorecard(), r.repository + "-scorecard:v" + r.version, nil
	default:
		return nil, "", errors.New("no such image: want operator, bundle, catalog or scorecard")
	}
}

func (r *release) operator() *image.Spec {
	return r.complete(&image.Spec{
		Labels:     map[string]string{"org.opencontainers.image.title": "LeaderWorkerSet operator"},
		Entrypoint: []string{"/manager"},
		Copies:     []image.Copy{r.program("manager", "/manager")},
	})
}

// bundle returns the bundle's image, which has no program. Its labels are the bundle's own annotations.
func (r *release) bundle() (*image.Spec, error) {
	data, err := os.ReadFile(filepath.Join(r.root, "bundle", "metadata", "annotations.yaml"))
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := yaml.UnmarshalStrict(data, &metadata); err != nil {
		return nil, err
	}
	metadata.Annotations["org.opencontainers.image.title"] = "LeaderWorkerSet operator bundle"
	return r.complete(&image.Spec{
		Labels: metadata.Annotations,
		Copies: []image.Copy{
			r.file("bundle/manifests", "/manifests"),
			r.file("bundle/metadata", "/metadata"),
			r.file("bundle/tests/scorecard", "/tests/scorecard"),
		},
	}), nil
}

// catalog returns the image that serves the catalog. OLM v0 probes the server by grpc_health_probe in the image. OLM v1
// reads the directory of the label, and doesn't run the image. The server makes its cache in /tmp when it starts. The
// image has no cache, because caches aren't reproducible.
func (r *release) catalog() *image.Spec {
	return r.complete(&image.Spec{
		Labels: map[string]string{
			"org.opencontainers.image.title":                  "LeaderWorkerSet operator catalog",
			"operators.operatorframework.io.index.configs.v1": "/configs",
		},
		Entrypoint: []string{"/bin/opm"},
		Arguments:  []string{"serve", "/configs"},
		Copies: []image.Copy{
			r.program("opm", "/bin/opm"),
			r.program("grpc_health_probe", "/bin/grpc_health_probe"),
			r.file("catalog", "/configs"),
		},
		Temporary: true,
	})
}

// scorecard returns the image of the scorecard, which runs the tests that its arguments name.
func (r *release) scorecard() *image.Spec {
	return r.complete(&image.Spec{
		Labels:     map[string]string{"org.opencontainers.image.title": "LeaderWorkerSet operator scorecard"},
		Entrypoint: []string{"/scorecard"},
		Copies:     []image.Copy{r.program("scorecard", "/scorecard")},
	})
}

// complete adds the license, the common labels and the architectures to an image.
func (r *release) complete(spec *image.Spec) *image.Spec {
	spec.Architectures, spec.Created = r.architectures, r.created
	maps.Copy(spec.Labels, map[string]string{
		"org.opencontainers.image.created":  r.created.Format(time.RFC3339),
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.source":   "https://github.com/leaderworkerset/lws-operator",
		"org.opencontainers.image.vendor":   "The LeaderWorkerSet Operator Authors",
		"org.opencontainers.image.version":  r.version,
	})
	spec.Copies = append([]image.Copy{r.file("LICENSE", "/licenses/LICENSE")}, spec.Copies...)
	return spec
}

func (r *release) file(source, target string) image.Copy {
	return image.Copy{Source: filepath.Join(r.root, source), Target: target}
}

func (r *release) program(name, target string) image.Copy {
	return image.Copy{Source: filepath.Join(r.programs, name), Target: target}
}
