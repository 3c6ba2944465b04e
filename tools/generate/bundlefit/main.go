// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command bundlefit completes a ClusterServiceVersion that the Operator SDK generated. It sets the icon, the operator's
// image in all places, the time of the release instead of the time of generation, and the first example:
//
//	bundlefit -icon icon.svg -image example.com/operator:v1 -created 2026-01-31T00:00:00Z -first simple \
//		bundle/manifests/*.clusterserviceversion.yaml
//
// bundlefit rewrites the file in place.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	complete := completion{}
	icon := flag.String("icon", "", "file with the icon, an SVG")
	flag.StringVar(&complete.image, "image", "", "the operator's image, by tag or digest")
	flag.StringVar(&complete.created, "created", "", "when the bundle was made, in the format of RFC 3339")
	flag.StringVar(&complete.first, "first", "", "name of the example that forms start from")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(),
			"Usage: bundlefit -icon <file> -image <image> -created <time> -first <example> <file>")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *icon == "" || complete.image == "" || complete.first == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := complete.file(flag.Arg(0), *icon); err != nil {
		fmt.Fprintf(os.Stderr, "bundlefit: %s: %v\n", flag.Arg(0), err)
		os.Exit(1)
	}
}

// file completes the ClusterServiceVersion in a file, in place. On error the file stays unchanged.
func (c completion) file(file, iconFile string) error {
	if _, err := time.Parse(time.RFC3339, c.created); err != nil {
		return err
	}
	icon, err := os.ReadFile(iconFile)
	if err != nil {
		return err
	}
	c.icon = icon
	csv, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	completed, err := c.apply(csv)
	if err != nil {
		return err
	}
	return os.WriteFile(file, completed, 0o644)
}
