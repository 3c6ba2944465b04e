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
	mutable := flag.String("mutable", "",
		"names of schema properties, separated by commas; crdfit drops the rules below them that make fields immutable")
	defaults := map[string]string{}
	flag.Func("default", "a schema property and its new default in JSON: <property>=<value>", func(text string) error {
		property, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("%q has no value", text)
		}
		defaults[property] = value
		return nil
	})
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(),
			"Usage: crdfit [-below <property>[,…]] [-mutable <property>[,…]] [-default <property>=<value>] <file>…")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}

	for _, file := range flag.Args() {
		if err := fitFile(file, changes{below: names(*below), mutable: names(*mutable), defaults: defaults}); err != nil {
			fmt.Fprintf(os.Stderr, "crdfit: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

// names returns the names in a list that commas separate.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// fitFile fits the CustomResourceDefinition in file, in place. On error the file stays unchanged.
func fitFile(file string, wanted changes) error {
	crd, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fitted, err := fit(crd, wanted)
	if err != nil {
		return err
	}
	return os.WriteFile(file, fitted, 0o644)
}
