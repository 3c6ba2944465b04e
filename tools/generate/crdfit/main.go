// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command crdfit makes a generated CustomResourceDefinition usable. It drops the descriptions of embedded Kubernetes
// types, such as pod templates, so that the CustomResourceDefinition is small enough for `kubectl apply`. The
// descriptions of our own fields stay. It also restricts the schema to values that the Go types can read:
//
//	crdfit -below leaderTemplate,workerTemplate config/crd/bases/*.yaml
//
// crdfit rewrites the files in place.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	below := flag.String("below", "",
		"names of schema properties, separated by commas; crdfit drops the descriptions below them")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: crdfit -below <property>[,<property>…] <file>…")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *below == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}

	for _, file := range flag.Args() {
		if err := fitFile(file, strings.Split(*below, ",")); err != nil {
			fmt.Fprintf(os.Stderr, "crdfit: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

// fitFile fits the CustomResourceDefinition in file, in place. On error the file stays unchanged.
func fitFile(file string, fields []string) error {
	crd, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fitted, err := fit(crd, fields)
	if err != nil {
		return err
	}
	return os.WriteFile(file, fitted, 0o644)
}
