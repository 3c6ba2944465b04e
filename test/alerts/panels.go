// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/monitoring"
)

// points is about how many points a panel gets.
const points = 300

// withoutData are panels that have none here: no Operator Lifecycle Manager installed the operator.
var withoutData = map[string]bool{"Upgrade held": true}

// dashboard has the fields of Grafana's JSON model that are read here.
type dashboard struct {
	UID    string
	Panels []struct {
		ID      int
		Title   string
		Targets []struct{ Expr string }
	}
}

// data is what the queries of a dashboard return, by the ID of the panel and the query.
type data struct {
	From   int64                         `json:"from"`
	To     int64                         `json:"to"`
	Panels map[int][][]monitoring.Series `json:"panels"`
}

// keepPanels evaluates the queries of the dashboards over the whole run, and writes the results to <uid>.json. It fails
// if all faults happened and a query returns nothing.
func (b *bed) keepPanels(ctx context.Context, dir string, all bool) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "config", "grafana", "*.json"))
	if err != nil {
		return err
	}
	to := time.Now()
	var empty []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var board dashboard
		if err := json.Unmarshal(text, &board); err != nil {
			return err
		}
		kept, err := b.evaluate(ctx, board, to)
		if err != nil && all {
			empty = append(empty, err)
		}
		encoded, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, board.UID+".json"), encoded, 0o600); err != nil {
			return err
		}
	}
	return errors.Join(empty...)
}

// evaluate evaluates the queries of a dashboard. The error names those that return nothing.
func (b *bed) evaluate(ctx context.Context, board dashboard, to time.Time) (data, error) {
	kept := data{From: b.began.Unix(), To: to.Unix(), Panels: map[int][][]monitoring.Series{}}
	length := to.Sub(b.began).Round(time.Second)
	step := max(2*time.Second, (length / points).Round(time.Second))
	fill := strings.NewReplacer("$cluster", ".*", "$instance", ".*", "$namespace", ".*", "$leaderworkerset", ".*",
		"$__rate_interval", "15s", "$__range", fmt.Sprintf("%.0fs", length.Seconds()))
	var errs []error
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			found, err := b.prometheus.QueryRange(ctx, fill.Replace(target.Expr), b.began, to, step)
			if err == nil && len(found) == 0 && !withoutData[p.Title] {
				err = errors.New("no data")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s, panel %s: %w of %s", board.UID, p.Title, err, target.Expr))
			}
			kept.Panels[p.ID] = append(kept.Panels[p.ID], found)
		}
	}
	return kept, errors.Join(errs...)
}
