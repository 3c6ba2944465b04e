// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package bundle makes the archive that goes with an issue. It is pure: the objects are read elsewhere.
package bundle

import (
	"archive/zip"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Bundle collects files.
type Bundle struct {
	// Redact replaces what may be a secret in objects.
	Redact bool

	files map[string][]byte
}

// AddObjects adds a file with objects, as a list in YAML. The fields that only the API server reads are left out.
func AddObjects[T runtime.Object](b *Bundle, name string, objects []T) error {
	list := make([]any, 0, len(objects))
	for _, object := range objects {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return err
		}
		if metadata, ok := fields["metadata"].(map[string]any); ok {
			delete(metadata, "managedFields")
		}
		if b.Redact {
			redact(fields)
		}
		list = append(list, fields)
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	b.AddText(name+".yaml", string(text))
	return nil
}

// AddText adds a file.
func (b *Bundle) AddText(name, text string) {
	if b.files == nil {
		b.files = map[string][]byte{}
	}
	b.files[name] = []byte(text)
}

// Write writes the archive, with a time for all of its files.
func (b *Bundle) Write(out io.Writer, at time.Time) error {
	archive := zip.NewWriter(out)
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		file, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at})
		if err != nil {
			return err
		}
		if _, err := file.Write(b.files[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}
