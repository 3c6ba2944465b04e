// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	program := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(program, []byte("#!"), 0o700); err != nil {
		t.Fatal(err)
	}

	pushed, err := Push(t.Context(), host+"/some/server:v1", Of(program, 7))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Push(t.Context(), host+"/some/server:v2", Of(program, 7))
	if err != nil {
		t.Fatal(err)
	}
	if pushed != again {
		t.Errorf("the same program gave %s and %s", pushed, again)
	}

	reference, err := name.NewDigest(pushed)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(reference)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		t.Errorf("it is for %s/%s", config.OS, config.Architecture)
	}
	wantConfig := v1.Config{
		Entrypoint: []string{"/server"}, Env: []string{"PATH=/bin:/"}, User: "7", WorkingDir: "/",
	}
	if diff := cmp.Diff(wantConfig, config.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	files := tar.NewReader(mutate.Extract(pulled))
	header, err := files.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "server" || header.Mode != 0o755 {
		t.Errorf("the program is %s with mode %o", header.Name, header.Mode)
	}
	if _, err := files.Next(); err != io.EOF {
		t.Errorf("there is another file, or an error: %v", err)
	}
}

func TestPushErrors(t *testing.T) {
	for what, reference := range map[string]string{"no tag": "localhost:1/Server", "no program": "localhost:1/server:v1"} {
		if _, err := Push(t.Context(), reference, Of(filepath.Join(t.TempDir(), "missing"), 7)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
