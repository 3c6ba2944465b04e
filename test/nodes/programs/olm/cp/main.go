// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command cp copies one file. OLM runs it in its own image as /bin/cp -Rv <source> <target>. That image has no shell
// and no other tools.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "cp: want a source and a target")
		os.Exit(2)
	}
	paths := os.Args[len(os.Args)-2:]
	if err := copyFile(paths[0], paths[1]); err != nil {
		fmt.Fprintln(os.Stderr, "cp:", err)
		os.Exit(1)
	}
	fmt.Printf("'%s' -> '%s'\n", paths[0], paths[1])
}

// copyFile copies a file, with its permissions.
func copyFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close() // The file is incomplete anyway.
		return err
	}
	return out.Close()
}
