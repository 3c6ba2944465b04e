// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "maps"

// schemaVersion is the version of the JSON model. Grafana 11 writes it, and newer versions convert it.
const schemaVersion = 39

// sourceType is the type of the data source.
const sourceType = "prometheus"

// columns is the width of a dashboard.
const columns = 24

// view is how a panel shows its data.
type view string

// The values are those of Grafana.
const (
	number   view = "stat"
	lines    view = "timeseries"
	stacked  view = "stacked"
	table    view = "table"
	timeline view = "state-timeline"
)

// unit is the unit of a panel's values. The empty unit is a plain number.
type unit string

// The values are those of Grafana. A share is between 0 and 1.
const (
	bytesOfMemory       unit = "bytes"
	operationsPerSecond unit = "ops"
	requestsPerSecond   unit = "reqps"
	seconds             unit = "s"
	share               unit = "percentunit"
)

// dashboard is a page in Grafana.
type dashboard struct {
	// uid is a part of the dashboard's URL, and the name of its file.
	uid, title, description string
	variables               []variable
	panels                  []panel
}

// variable is a choice at the top of the dashboard. Each has All, which matches also series without the label.
type variable struct{ name, title, query string }

// panel shows one or more queries.
type panel struct {
	title, description string
	view               view
	unit               unit
	queries            []query
	// empty replaces Grafana's words for a query without a result.
	empty string
}

// query is an expression of Prometheus. The legend may name labels in double braces.
type query struct{ legend, expr string }

// size returns the width and the height.
func (v view) size() (width, height int) {
	if v == number {
		return columns / 6, 4
	}
	return columns / 2, 8
}

// model returns the dashboard in Grafana's JSON model.
func (d dashboard) model() map[string]any {
	return map[string]any{
		"description":   d.description,
		"editable":      true,
		"graphTooltip":  1, // Shows the same time in all panels.
		"links":         []any{},
		"panels":        d.layout(),
		"refresh":       "1m",
		"schemaVersion": schemaVersion,
		"tags":          []string{"leaderworkerset"},
		"templating":    map[string]any{"list": d.choices()},
		"time":          map[string]any{"from": "now-6h", "to": "now"},
		"timezone":      "browser",
		"title":         d.title,
		"uid":           d.uid,
		"version":       1,
	}
}

// choices returns the variables. The first one selects the data source.
func (d dashboard) choices() []any {
	all := []any{choice{Label: "Data source", Name: "datasource", Query: sourceType, Refresh: 1, Type: "datasource"}}
	for _, v := range d.variables {
		all = append(all, choice{
			AllValue: ".*", Current: map[string]any{"selected": true, "text": "All", "value": "$__all"},
			DataSource: source(), Definition: v.query, IncludeAll: true, Label: v.title, Multi: true, Name: v.name,
			Query:   map[string]any{"qryType": 1, "query": v.query, "refId": v.name},
			Refresh: 2, Sort: 1, Type: "query",
		})
	}
	return all
}

// choice is a variable in Grafana's JSON model. Its fields are in the order of their names.
type choice struct {
	AllValue   string         `json:"allValue,omitempty"`
	Current    map[string]any `json:"current,omitempty"`
	DataSource reference      `json:"datasource,omitzero"`
	Definition string         `json:"definition,omitempty"`
	IncludeAll bool           `json:"includeAll,omitempty"`
	Label      string         `json:"label"`
	Multi      bool           `json:"multi,omitempty"`
	Name       string         `json:"name"`
	Query      any            `json:"query"`
	Refresh    int            `json:"refresh"`
	Sort       int            `json:"sort,omitempty"`
	Type       string         `json:"type"`
}

// reference names a data source in Grafana's JSON model.
type reference struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// layout returns the panels, from left to right and from top to bottom.
func (d dashboard) layout() []any {
	var all []any
	x, y, previous := 0, 0, 0
	for i, p := range d.panels {
		width, height := p.view.size()
		if x+width > columns || x > 0 && height != previous {
			x, y = 0, y+previous
		}
		model := p.model()
		model["id"] = i + 1
		model["gridPos"] = map[string]any{"x": x, "y": y, "w": width, "h": height}
		all = append(all, model)
		x, previous = x+width, height
	}
	return all
}

// model returns the panel without its place.
func (p panel) model() map[string]any {
	kind, custom := p.view, map[string]any{}
	options := map[string]any{}
	switch p.view {
	case number:
		options = map[string]any{
			"colorMode": "none", "graphMode": "area", "reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}},
		}
	case lines, stacked:
		options = map[string]any{
			"legend":  map[string]any{"calcs": []string{"lastNotNull", "max"}, "displayMode": "table", "placement": "bottom"},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		}
	case timeline:
		custom["fillOpacity"] = 70
		options = map[string]any{"mergeValues": true, "showValue": "never"}
	case table:
	}
	if p.view == stacked {
		kind, custom = lines, map[string]any{"fillOpacity": 30, "stacking": map[string]any{"mode": "normal"}}
	}
	defaults := map[string]any{"custom": custom, "min": 0, "unit": p.unit}
	if p.empty != "" {
		defaults["noValue"] = p.empty
	}
	model := map[string]any{
		"datasource": source(), "description": p.description, "title": p.title, "type": kind,
		"fieldConfig": map[string]any{"defaults": defaults, "overrides": []any{}},
		"options":     options, "targets": p.targets(),
	}
	if p.view == table {
		model["transformations"] = hideTime()
	}
	return model
}

// targets returns the queries. Tables show the end of the time range only.
func (p panel) targets() []any {
	var all []any
	for i, q := range p.queries {
		target := map[string]any{"expr": q.expr, "legendFormat": q.legend, "refId": string(rune('A' + i))}
		if p.view == table {
			maps.Copy(target, map[string]any{"format": "table", "instant": true, "range": false})
		}
		all = append(all, target)
	}
	return all
}

// hideTime drops the column that has the same time in each row.
func hideTime() []any {
	return []any{map[string]any{
		"id": "organize", "options": map[string]any{"excludeByName": map[string]any{"Time": true}},
	}}
}

// source is the data source that the user selects.
func source() reference {
	return reference{Type: sourceType, UID: "${datasource}"}
}
