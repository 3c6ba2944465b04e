// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command untar replaces tar in the scorecard's pods, which unpack a bundle. It supports only the arguments of that
// call:
//
//	untar tar xvzf /scorecard/bundle.tar.gz -C /scorecard-bundle
package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path"
	"slices"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// run unpacks the archive.
func run(arguments []string) error {
	if len(arguments) != 5 || !slices.Equal(arguments[:2], []string{"tar", "xvzf"}) || arguments[3] != "-C" {
		return fmt.Errorf("want the arguments of the scorecard, got %q", arguments)
	}
	file, err := os.Open(arguments[2])
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // The file is only read.
	target, err := os.OpenRoot(arguments[4])
	if err != nil {
		return err
	}
	return errors.Join(unpack(file, target), target.Close())
}

// unpack writes the files and directories in a compressed archive.
func unpack(compressed io.Reader, target *os.Root) error {
	uncompressed, err := gzip.NewReader(compressed)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(uncompressed); ; {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case header.Typeflag == tar.TypeDir:
			err = target.MkdirAll(path.Clean(header.Name), 0o755)
		default:
			err = write(archive, target, path.Clean(header.Name))
		}
		if err != nil {
			return err
		}
	}
}

// write writes a file.
func write(content io.Reader, target *os.Root, name string) error {
	if err := target.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := target.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
