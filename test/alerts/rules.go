// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"time"

	"github.com/prometheus/common/model"

	"github.com/leaderworkerset/lws-operator/test/monitoring"
)

// scale is the factor by which the durations of the rules are shortened: a minute becomes a second.
const scale = 60

// duration matches what is shortened: fields of alerts, ranges and offsets. Thresholds are numbers and stay.
var duration = regexp.MustCompile(`((?:"for"|"keep_firing_for"): ?"|\[|offset )(\d+(?:ms|[smhd]))`)

// scaled returns the rules of config/prometheus as a rule file, with shortened durations.
func scaled(root string) ([]byte, error) {
	rules, err := monitoring.Rules(root)
	return shorten(rules), err
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
