// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command pictures draws the dashboards of a folder with data of test/alerts, as PNG. It isn't Grafana: it reads the
// places, titles, kinds and units of the panels from the JSON, and draws the series itself.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// dashboard has the fields of Grafana's JSON model that are drawn.
type dashboard struct {
	Title, UID string
	Panels     []panel
}

// panel is a panel in Grafana's JSON model.
type panel struct {
	ID          int
	Title, Type string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct {
			Unit, NoValue string
			Custom        struct{ Stacking struct{ Mode string } }
		}
	}
	Targets []struct{ LegendFormat string }
}

// data is what the queries of a dashboard returned, by the ID of the panel and the query.
type data struct {
	From, To int64
	Panels   map[int][][]result
}

// result is a series of a query. A value is a time and a number as text.
type result struct {
	Metric map[string]string
	Values [][2]any
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: pictures DASHBOARDS DATA PICTURES")
	}
	files, err := filepath.Glob(filepath.Join(args[0], "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		var board dashboard
		var found data
		if err := errors.Join(read(file, &board), read(filepath.Join(args[1], filepath.Base(file)), &found)); err != nil {
			return err
		}
		if err := draw(board, found, filepath.Join(args[2], "dashboard-"+board.UID+".png")); err != nil {
			return err
		}
	}
	return nil
}

func read(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
