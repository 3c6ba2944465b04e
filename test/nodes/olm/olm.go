// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package olm installs the Operator Lifecycle Manager in a cluster, with images that it builds and pushes.
package olm

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/nodes/image"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// Namespace is the namespace of OLM, and of catalogs for all namespaces.
	Namespace = "olm"

	// readyTimeout limits the start of OLM, which takes less than a minute on an idle machine.
	readyTimeout = 5 * time.Minute

	// user is the number of the user that the images run as.
	user = 1001
)

// Programs are the programs of OLM's images.
type Programs struct {
	// OLM is the directory that nodes.BuildOLM returns. OPM is the path of opm, which unpacks bundles.
	OLM, OPM string
}

// Install pushes the images of OLM to a registry that the cluster's nodes pull from, and creates the objects of OLM. It
// returns when OLM is ready to install operators. It installs no catalog.
func Install(ctx context.Context, admin client.Client, registry string, programs Programs) error {
	olm, err := image.Push(ctx, registry+"/operator-framework/olm:test", olmImage(programs))
	if err != nil {
		return err
	}
	opm, err := image.Push(ctx, registry+"/operator-framework/opm:test", image.Image{
		Programs: map[string]string{"/bin/opm": programs.OPM}, Entrypoint: "/bin/opm", User: user,
	})
	if err != nil {
		return err
	}
	manifests, err := manifests(ctx, programs, olm, opm)
	if err != nil {
		return err
	}
	for _, object := range manifests {
		// The API server refuses objects of OLM's own kinds until it serves those kinds.
		apply := func(ctx context.Context) error { return objects.Apply(ctx, admin, object) }
		if err := objects.Until(ctx, readyTimeout, apply); err != nil {
			return err
		}
	}
	return objects.Until(ctx, readyTimeout, func(ctx context.Context) error { return ready(ctx, admin) })
}

// olmImage returns the image with all programs that OLM's pods run, at the paths that OLM expects.
func olmImage(programs Programs) image.Image {
	olm := image.Image{Programs: map[string]string{}, Entrypoint: "/bin/olm", User: user}
	for _, name := range []string{"olm", "catalog", "package-server", "copy-content", "cpb", "cp"} {
		olm.Programs["/bin/"+name] = filepath.Join(programs.OLM, name)
	}
	return olm
}

// manifests returns the objects of OLM, without the catalog of the community's operators, which the nodes can't reach.
func manifests(ctx context.Context, programs Programs, olm, opm string) ([]*unstructured.Unstructured, error) {
	command := exec.CommandContext(ctx, filepath.Join(programs.OLM, "manifests"),
		"-chart", filepath.Join(programs.OLM, "chart"), "-olm", olm, "-opm", opm)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("make the manifests of OLM: %w\n%s", err, stderr.Bytes())
	}
	decoded, err := objects.Decode(bytes.NewReader(text))
	isCatalog := func(object *unstructured.Unstructured) bool { return object.GetKind() == "CatalogSource" }
	return slices.DeleteFunc(decoded, isCatalog), err
}

// ready returns an error unless OLM has installed its own API server. That needs everything that OLM needs for other
// operators.
func ready(ctx context.Context, admin client.Client) error {
	csv := &unstructured.Unstructured{}
	csv.SetGroupVersionKind(schema.GroupVersionKind{
		Group: "operators.coreos.com", Version: "v1alpha1", Kind: "ClusterServiceVersion",
	})
	if err := admin.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: "packageserver"}, csv); err != nil {
		return err
	}
	phase, _, err := unstructured.NestedString(csv.Object, "status", "phase")
	if err == nil && phase != "Succeeded" {
		return fmt.Errorf("the ClusterServiceVersion packageserver is %q", phase)
	}
	return err
}
