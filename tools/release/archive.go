// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// file is a file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// pack packs the files of a directory into an archive.
func pack(arguments []string) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	created := timeFlag(flags)
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() != 2 || created.IsZero() {
		return errors.New(usage)
	}
	files, err := read(flags.Arg(0))
	if err != nil {
		return err
	}
	data, err := archive(files, *created)
	if err != nil {
		return err
	}
	return os.WriteFile(flags.Arg(1), data, 0o644)
}

// read returns the files below a directory, in the order of their names. The permissions of the directory's file system
// don't matter.
func read(dir string) (files []file, err error) {
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		files = append(files, file{filepath.ToSlash(name), 0o644, data})
		return err
	})
	return files, err
}

// archive returns a compressed archive that depends on the files and the time alone.
func archive(files []file, created time.Time) ([]byte, error) {
	var data bytes.Buffer
	compressed := gzip.NewWriter(&data)
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
	return data.Bytes(), err
}
