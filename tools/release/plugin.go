// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
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

// options says how to pack the kubectl plugin.
type options struct {
	root, programs, output, version, platforms string
	created                                    time.Time
}

// plugin packs the kubectl plugin for all platforms.
func plugin(arguments []string) error {
	var o options
	flags := flag.NewFlagSet("plugin", flag.ContinueOnError)
	created := timeFlag(flags)
	flags.StringVar(&o.root, "root", ".", "the root of the repository")
	flags.StringVar(&o.programs, "programs", "", "the directory with a program for each platform: <os>-<arch>/kubectl-lws")
	flags.StringVar(&o.output, "output", "dist", "the directory to write to")
	flags.StringVar(&o.version, "version", "", "the version, without v")
	flags.StringVar(&o.platforms, "platforms", "", "the platforms, such as linux-amd64, separated by spaces")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if o.created = *created; o.created.IsZero() || o.version == "" || flags.NArg() > 0 {
		return errors.New(usage)
	}
	return o.run()
}

// run writes the archives, their checksums, and the manifest for krew.
func (o *options) run() error {
	sums := map[string]string{}
	var list strings.Builder
	for platform := range strings.FieldsSeq(o.platforms) {
		files, err := o.files(platform)
		if err != nil {
			return err
		}
		packed, err := archive(files, o.created)
		if err != nil {
			return err
		}
		name := archiveName(platform)
		if err := os.WriteFile(filepath.Join(o.output, name), packed, 0o644); err != nil {
			return err
		}
		sum := sha256.Sum256(packed)
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
