// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command crdtrim makes a generated CustomResourceDefinition small enough for `kubectl apply`. It drops the descriptions
// that come with embedded Kubernetes types, such as a pod template's, and keeps those of our own fields:
//
//	crdtrim -below leaderTemplate,workerTemplate config/crd/bases/*.yaml
//
// The files are rewritten in place.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	below := flag.String("below", "", "comma-separated names of the schema properties to drop the descriptions below of")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: crdtrim -below <property>[,<property>…] <file>…")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *below == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}

	for _, file := range flag.Args() {
		if err := trimFile(file, strings.Split(*below, ",")); err != nil {
			fmt.Fprintf(os.Stderr, "crdtrim: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

// trimFile trims the CustomResourceDefinition in file, in place. On error the file is as before.
func trimFile(file string, fields []string) error {
	crd, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	trimmed, err := trim(crd, fields)
	if err != nil {
		return err
	}
	return os.WriteFile(file, trimmed, 0o644)
}
