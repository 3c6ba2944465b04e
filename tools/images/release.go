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

// release is what images are made from.
type release struct {
	// root is the root directory of the repository.
	root string

	// programs is the directory of the programs for an architecture.
	programs string

	// repository is the name of the operator's image, without a tag.
	repository string

	version       string
	created       time.Time
	architectures []string
}

// write writes one of the images into an archive.
func (r *release) write(wanted, file string) error {
	spec, name, err := r.spec(wanted)
	if err != nil {
		return err
	}
	index, err := spec.Index()
	if err != nil {
		return err
	}
	return image.Write(file, name, index)
}

// spec returns what one of the images is made of, and its name. The Dockerfiles of the repository make the same of base images.
func (r *release) spec(wanted string) (spec *image.Spec, name string, err error) {
	switch wanted {
	case "operator":
		return r.operator(), r.repository + ":v" + r.version, nil
	case "bundle":
		spec, err := r.bundle()
		return spec, r.repository + "-bundle:v" + r.version, err
	case "catalog":
		return r.catalog(), r.repository + "-catalog:latest", nil
	default:
		return nil, "", errors.New("no such image: want operator, bundle or catalog")
	}
}

func (r *release) operator() *image.Spec {
	return r.complete(&image.Spec{
		Labels:     map[string]string{"org.opencontainers.image.title": "LeaderWorkerSet operator"},
		Entrypoint: []string{"/manager"},
		Copies:     []image.Copy{r.program("manager", "/manager")},
	})
}

// bundle is only looked into. Its labels are what it says of itself.
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

// catalog serves the catalog. OLM asks how it is by a program in it, and reads it without running it, too, by the label. The server has a cache in
// /tmp, which it makes when it starts: one that is made here would differ each time.
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

// complete adds what all images have.
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
