// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command dashboards writes the dashboards for Grafana into the folder that it gets as its argument. make generate
// calls it.
//
// The dashboards are generated because each panel is a few lines here and sixty lines of JSON there. The module
// test/prometheus runs the queries of the JSON.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: dashboards FOLDER")
	}
	for _, board := range []dashboard{sets, operator} {
		text, err := marshal(board.model())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(args[0], board.uid+".json"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// marshal returns the value as JSON with sorted keys, indented, and with a newline at the end.
func marshal(value map[string]any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	return text.Bytes(), err
}
