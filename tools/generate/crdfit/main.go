// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command crdfit makes a generated CustomResourceDefinition fit for use. It becomes small enough for `kubectl apply`: the descriptions
// that come with embedded Kubernetes types, such as a pod template's, are dropped, and those of our own fields kept. And it lets nothing in
// that the Go types can't read:
//
//	crdfit -below leaderTemplate,workerTemplate config/crd/bases/*.yaml
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

// fitFile fits the CustomResourceDefinition in file, in place. On error the file is as before.
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
