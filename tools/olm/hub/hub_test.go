// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
)

var root = filepath.Join("..", "..", "..")

// unpublished are the frozen versions that were never published.
var unpublished = map[string]bool{"0.1.0": true}

func published(version semver.Version) bool {
	_, err := os.Stat(filepath.Join(root, "releases", version.String()))
	return err == nil && !unpublished[version.String()]
}

func readBundle(t *testing.T) *Bundle {
	t.Helper()
	b, err := Read(filepath.Join(root, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBundle checks the bundle that is prepared.
func TestBundle(t *testing.T) {
	t.Parallel()
	if err := Check(readBundle(t), published); err != nil {
		t.Error(err)
	}
}

// TestReleases checks that each frozen bundle is in the directory of its version.
func TestReleases(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob(filepath.Join(root, "releases", "*", "manifests"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%d releases: %v", len(dirs), err)
	}
	for _, dir := range dirs {
		b, err := Read(filepath.Dir(dir))
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Base(filepath.Dir(dir)); b.CSV.Spec.Version.String() != want {
			t.Errorf("releases/%s has version %s", want, b.CSV.Spec.Version)
		}
	}
}

// TestCheck breaks each rule in turn.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		broken func(*Bundle)
		want   string
	}{
		"another name":      {func(b *Bundle) { b.CSV.Name = "lws.v0.2.0" }, `the ClusterServiceVersion is "lws.v0.2.0"`},
		"unknown channel":   {func(b *Bundle) { b.Annotations[defaultChannelKey] = "alpha" }, `the default channel "alpha"`},
		"network policy":    {func(b *Bundle) { b.Kinds = append(b.Kinds, "NetworkPolicy") }, "OLM can't install"},
		"two versions":      {func(b *Bundle) { b.Kinds = append(b.Kinds, "ClusterServiceVersion") }, "2 ClusterService"},
		"capabilities":      {func(b *Bundle) { b.CSV.Annotations["capabilities"] = "All" }, "the annotation capabilities"},
		"image without tag": {func(b *Bundle) { b.CSV.Annotations["containerImage"] = "a/b/c" }, "containerImage"},
		"no time":           {func(b *Bundle) { b.CSV.Annotations["createdAt"] = "today" }, "createdAt"},
		"long name":         {func(b *Bundle) { b.CSV.Spec.DisplayName = strings.Repeat("ä", 51) }, "3 to 50 characters"},
		"short description": {func(b *Bundle) { b.CSV.Spec.Description = "LWS" }, "description has less"},
		"no provider":       {func(b *Bundle) { b.CSV.Spec.Provider.Name = "" }, "provider.name"},
		"no keywords":       {func(b *Bundle) { b.CSV.Spec.Keywords = nil }, "keywords"},
		"any Kubernetes":    {func(b *Bundle) { b.CSV.Spec.MinKubeVersion = "" }, "minKubeVersion"},
		"no maintainer":     {func(b *Bundle) { b.CSV.Spec.Maintainers = nil }, "0 maintainers"},
		"no address":        {func(b *Bundle) { b.CSV.Spec.Maintainers[0].Email = "" }, "the maintainer"},
		"no URL":            {func(b *Bundle) { b.CSV.Spec.Links[0].URL = "" }, "the link"},
		"no icon":           {func(b *Bundle) { b.CSV.Spec.Icon = nil }, "no icon"},
		"broken icon":       {func(b *Bundle) { b.CSV.Spec.Icon[0].Data = "?" }, "isn't base64"},
		"bitmap":            {func(b *Bundle) { b.CSV.Spec.Icon[0].MediaType = "image/bmp" }, `"image/bmp"`},
		"unpublished":       {func(b *Bundle) { b.CSV.Spec.Replaces = "lws-operator.v0.1.0" }, "which users can't have"},
		"another package":   {func(b *Bundle) { b.CSV.Spec.Replaces = "lws.v0.1.0" }, "isn't a version of this package"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := readBundle(t)
			test.broken(b)
			if err := Check(b, published); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want %q", err, test.want)
			}
		})
	}
}
