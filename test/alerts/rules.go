// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// scale is the factor by which the durations of the rules are shortened: a minute becomes a second.
const scale = 60

// duration matches what is shortened: fields of alerts, ranges and offsets. Thresholds are numbers and stay.
var duration = regexp.MustCompile(`((?:"for"|"keep_firing_for"): ?"|\[|offset )(\d+(?:ms|[smhd]))`)

// scaled returns the rules of config/prometheus as a rule file, with shortened durations. JSON is YAML.
func scaled(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "rules.yaml"))
	if err != nil {
		return nil, err
	}
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	rules, err := json.Marshal(object.Spec)
	if err != nil {
		return nil, err
	}
	return shorten(rules), nil
}

// shorten divides the durations of rules.
func shorten(rules []byte) []byte {
	return duration.ReplaceAllFunc(rules, func(match []byte) []byte {
		parts := duration.FindSubmatch(match)
		long, err := model.ParseDuration(string(parts[2]))
		if err != nil {
			return match // Prometheus refuses it as well.
		}
		return append(append([]byte{}, parts[1]...), model.Duration(time.Duration(long)/scale).String()...)
	})
}
