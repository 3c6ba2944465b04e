// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
)

// The values of -scenarios.
const (
	sequenceScenario  = "sequence"
	rolloutScenario   = "rollout"
	editScenario      = "edit"
	recoveryScenario  = "recovery"
	manyScenario      = "many"
	slowScenario      = "slow"
	strangersScenario = "strangers"
	largeScenario     = "large"
	rolesScenario     = "roles"
)

func scenarioNames() []string {
	return []string{
		sequenceScenario, rolloutScenario, editScenario, recoveryScenario, manyScenario, slowScenario, strangersScenario,
		largeScenario, rolesScenario,
	}
}

// selection says what to measure.
type selection struct {
	profile   string
	scenarios names
	groups    numbers // for sequence, rollout and edit
	size      int
	floors    bool
	failing   dimensionsList // for recovery
	sets      numbers        // for many
	dsets     numbers        // for roles
}

// recoveries are the groups of the scenario recovery.
func recoveries() dimensionsList { return dimensionsList{{1, 4}, {1, 32}, {2, 32}, {1, 128}} }

// piece is a part of the summary. Pieces measured one by one into the same report give the same summary as all at once.
type piece struct {
	name string
	selection
}

// summaryPieces are all figures of the summary. rollout-500 is about CPU time only, so its floors are left out.
func summaryPieces() []piece {
	rollout := func(profile string, groups int, floors bool) piece {
		return piece{fmt.Sprintf("rollout-%d", groups), selection{
			profile: profile, scenarios: names{rolloutScenario}, groups: numbers{groups}, size: 4, floors: floors,
		}}
	}
	return []piece{
		{"recovery", selection{profile: report.Defaults, scenarios: names{recoveryScenario}, failing: recoveries()}},
		rollout(report.Defaults, 30, true),
		rollout(report.Unlimited, 100, true),
		rollout(report.Unlimited, 200, true),
		{"many-200", selection{
			profile: report.Unlimited, scenarios: names{manyScenario}, sets: numbers{200}, floors: true,
		}},
		rollout(report.Unlimited, 500, false),
	}
}

// pieceNames returns the names of all pieces.
func pieceNames() string {
	var list []string
	for _, piece := range summaryPieces() {
		list = append(list, piece.name)
	}
	return strings.Join(list, ", ")
}

// pieces is a flag of pieces of the summary.
type pieces []piece

// String returns the flag's value in the form of the command line.
func (p *pieces) String() string {
	list := make([]string, len(*p))
	for i := range *p {
		list[i] = (*p)[i].name
	}
	return strings.Join(list, ",")
}

// Set parses the flag's value.
func (p *pieces) Set(value string) error {
	all := summaryPieces()
	if *p = all; value == "all" {
		return nil
	}
	*p = nil
	for name := range strings.SplitSeq(value, ",") {
		at := slices.IndexFunc(all, func(known piece) bool { return known.name == name })
		if at < 0 {
			return fmt.Errorf("%q isn't one of %s", name, pieceNames())
		}
		*p = append(*p, all[at])
	}
	return nil
}

// selections returns what to measure.
func (p *pieces) selections() []selection {
	selected := make([]selection, len(*p))
	for i := range *p {
		selected[i] = (*p)[i].selection
	}
	return selected
}

// names is a flag of scenarios.
type names []string

// String returns the flag's value in the form of the command line.
func (n *names) String() string { return strings.Join(*n, ",") }

// Set parses the flag's value.
func (n *names) Set(value string) error {
	*n = strings.Split(value, ",")
	for _, name := range *n {
		if !slices.Contains(scenarioNames(), name) {
			return fmt.Errorf("%q isn't a scenario", name)
		}
	}
	return nil
}
