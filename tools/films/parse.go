// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// event is a line of a film.
type event struct {
	// second is the time of the event, rounded down.
	second int
	actor  string
	// what has the verb and its object, as in "deletes pod a-2".
	what string
	// reason is empty for events that aren't writes of the operator.
	reason string
}

// The format of a line is that of test/simulate/film.go.
var lineFormat = regexp.MustCompile(`^ *(\d+)\.\ds {2}(\S.*?) {2,}(.+)$`)

// parse returns the events of a film. It leaves out the metrics at the end.
func parse(film string) ([]event, error) {
	var events []event
	for line := range strings.Lines(film) {
		parts := lineFormat.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if parts == nil {
			if strings.HasPrefix(strings.TrimSpace(line), "metrics ") {
				continue
			}
			return nil, fmt.Errorf("the line isn't an event: %q", line)
		}
		second, err := strconv.Atoi(parts[1])
		if err != nil {
			return nil, err
		}
		next := event{second: second, actor: parts[2], what: parts[3]}
		if strings.HasPrefix(next.actor, "operator") {
			next.what, next.reason, _ = strings.Cut(next.what, ": ")
		}
		events = append(events, next)
	}
	return events, nil
}

// terms are the terms of the set, from the words of the user who creates it.
type terms struct {
	replicas, size int
	// budget is the number of groups that a rollout keeps ready; -1 if the film doesn't name a limit.
	budget int
}

var (
	groupsOfSize  = regexp.MustCompile(`creates LeaderWorkerSet a: (\d+) groups? of (\d+)`)
	unavailableOf = regexp.MustCompile(`maxUnavailable (\d+)`)
)

// termsOf returns the terms in the first event, by which the user creates the set.
func termsOf(events []event) (terms, error) {
	if len(events) == 0 {
		return terms{}, errors.New("the film is empty")
	}
	found := groupsOfSize.FindStringSubmatch(events[0].what)
	if found == nil {
		return terms{}, fmt.Errorf("the film doesn't begin with a new set: %q", events[0].what)
	}
	result := terms{replicas: number(found[1]), size: number(found[2]), budget: -1}
	if limit := unavailableOf.FindStringSubmatch(events[0].what); limit != nil {
		result.budget = result.replicas - number(limit[1])
	}
	return result, nil
}

// number returns a number that an expression has matched.
func number(digits string) int {
	value, _ := strconv.Atoi(digits)
	return value
}
