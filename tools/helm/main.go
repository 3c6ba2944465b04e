// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command helm packages the Helm chart of the operator. It generates the templates from the kustomizations in config/,
// so that the chart installs what they install:
//
//	go run . -root ../.. -version 0.2.0 -date 2026-11-21 -out ../../dist
//
// It prints the path of the package. The same sources give the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

func main() {
	root := flag.String("root", "../..", "the directory of the repository")
	version := flag.String("version", "", "the version of chart and operator, without a leading v")
	date := flag.String("date", "", "the time of the files in the package, as year-month-day")
	out := flag.String("out", "", "the directory that gets the package")
	flag.Parse()
	if err := run(*root, *version, *date, *out); err != nil {
		fmt.Fprintln(os.Stderr, "helm:", err)
		os.Exit(1)
	}
}

func run(root, version, date, out string) error {
	modTime, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return err
	}
	chart, err := generate(root, version, modTime)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	file, err := chartutil.Save(chart, out)
	if err != nil {
		return err
	}
	fmt.Println(file)
	return nil
}
