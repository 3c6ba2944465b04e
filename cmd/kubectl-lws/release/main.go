// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command release packs the plugin for all platforms. The same programs give the same archives.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// options are the flags of the program.
type options struct {
	root, programs, output, version, created, platforms string
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the root of the repository")
	flag.StringVar(&o.programs, "programs", "", "the directory with a program for each platform: <os>-<arch>/kubectl-lws")
	flag.StringVar(&o.output, "output", "dist", "the directory to write to")
	flag.StringVar(&o.version, "version", "", "the version, without v")
	flag.StringVar(&o.created, "created", "", "the time of all files, as RFC 3339")
	flag.StringVar(&o.platforms, "platforms", "", "the platforms, such as linux-amd64, separated by spaces")
	flag.Parse()
	if err := o.run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// file is a file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// run writes the archives, their checksums, and the manifest for krew.
func (o *options) run() error {
	created, err := time.Parse(time.RFC3339, o.created)
	if err != nil {
		return err
	}
	sums := map[string]string{}
	var list strings.Builder
	for platform := range strings.FieldsSeq(o.platforms) {
		files, err := o.files(platform)
		if err != nil {
			return err
		}
		archive, err := pack(files, created)
		if err != nil {
			return err
		}
		name := archiveName(platform)
		if err := os.WriteFile(filepath.Join(o.output, name), archive, 0o644); err != nil {
			return err
		}
		sum := sha256.Sum256(archive)
		sums[name] = hex.EncodeToString(sum[:])
		fmt.Fprintf(&list, "%s  %s\n", sums[name], name)
	}
	manifest, err := o.manifest(sums)
	return errors.Join(err,
		os.WriteFile(filepath.Join(o.output, "kubectl-lws_checksums.txt"), []byte(list.String()), 0o644),
		os.WriteFile(filepath.Join(o.output, "kubectl-lws_krew.yaml"), manifest, 0o644))
}

func archiveName(platform string) string {
	return "kubectl-lws_" + strings.ReplaceAll(platform, "-", "_") + ".tar.gz"
}

// files reads the files of an archive.
func (o *options) files(platform string) ([]file, error) {
	suffix := ""
	if strings.HasPrefix(platform, "windows-") {
		suffix = ".exe"
	}
	module := filepath.Join(o.root, "cmd", "kubectl-lws")
	sources := []struct {
		name, path string
		mode       int64
	}{
		{"LICENSE", filepath.Join(o.root, "LICENSE"), 0o644},
		{"kubectl-lws" + suffix, filepath.Join(o.programs, platform, "kubectl-lws"), 0o755},
		{"kubectl_complete-lws", filepath.Join(module, "kubectl_complete-lws"), 0o755},
	}
	var files []file
	for _, source := range sources {
		data, err := os.ReadFile(source.path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{source.name, source.mode, data})
	}
	return files, nil
}

// pack returns an archive that depends on the files and the time alone.
func pack(files []file, created time.Time) ([]byte, error) {
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	out := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: created.UTC(), Format: tar.FormatUSTAR,
		}
		if err := out.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := out.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := errors.Join(out.Close(), compressed.Close())
	return archive.Bytes(), err
}

// manifest renders .krew.yaml, which krew's release bot reads as well: it calls the same function.
func (o *options) manifest(sums map[string]string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(o.root, ".krew.yaml"))
	if err != nil {
		return nil, err
	}
	addURIAndSha := func(uri, tag string) (string, error) {
		uri = strings.ReplaceAll(uri, "{{ .TagName }}", tag)
		sum, ok := sums[uri[strings.LastIndex(uri, "/")+1:]]
		if !ok {
			return "", fmt.Errorf("%s isn't part of the release", uri)
		}
		return "uri: " + uri + "\n    sha256: " + sum, nil
	}
	parsed, err := template.New("krew").Funcs(template.FuncMap{"addURIAndSha": addURIAndSha}).Parse(string(source))
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = parsed.Execute(&text, struct{ TagName string }{"v" + o.version})
	return text.Bytes(), err
}
