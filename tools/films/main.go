// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command films draws golden films of the simulated world as SVG, for the docs. make docs calls it with the folder of
// the films and the folder of the pictures.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// picture is a film that the docs show.
type picture struct {
	film, title string
}

// pictures are all films that the docs show. A picture has the name of its film.
var pictures = []picture{
	{"update-1", "A rolling update replaces one group at a time"},
	{"update-surge", "A rolling update with a surge group never has fewer ready groups than replicas"},
	{"update-broken-group", "A rolling update begins with the group that is broken"},
	{"update-stopped", "A rolling update to an image that doesn't work stops at the first group"},
	{"update-canary", "A partition of 3 updates group 3 alone, until it is lowered to 0"},
	{"restart-backoff", "The operator restarts a group that fails again and again after longer and longer delays"},
	{"restart-lost-node", "A group waits for its lost node, until somebody deletes the node"},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: films FILMS PICTURES")
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil {
		return err
	}
	for _, p := range pictures {
		text, err := os.ReadFile(filepath.Join(args[0], p.film+".txt"))
		if err != nil {
			return err
		}
		played, err := play(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", p.film, err)
		}
		if err := os.WriteFile(filepath.Join(args[1], p.film+".svg"), []byte(draw(p.title, played)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
