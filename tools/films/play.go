// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
)

// state is what a group is at the end of a second.
type state struct {
	phase    phase
	revision int
}

type phase int

const (
	missing     phase = iota
	unready           // pods exist, and not all are ready
	ready             // all pods are ready
	terminating       // a pod of the group, or of its previous incarnation, terminates
)

// story is a film as a table: the states of the groups in each second, and what has caused them.
type story struct {
	terms
	// seconds has the states of all groups by second. A second has as many states as groups have existed until then.
	seconds [][]state
	causes  []cause
}

// cause is an event that people have to know to understand the states.
type cause struct {
	second int
	text   string
}

// pod is a pod of a film.
type pod struct{ isReady, terminates bool }

// group is a group of a film, with its pods by name.
type group struct {
	pods     map[string]*pod
	revision int
}

// player goes through the events of a film.
type player struct {
	story
	groups   []*group
	revision int // of the leader StatefulSet
}

// play returns the story of a film.
func play(film string) (story, error) {
	events, err := parse(film)
	if err != nil {
		return story{}, err
	}
	set, err := termsOf(events)
	if err != nil {
		return story{}, err
	}
	p := player{story: story{terms: set}, revision: 1}
	for _, next := range events {
		p.until(next.second)
		p.change(next)
		p.addCause(next)
	}
	p.until(events[len(events)-1].second + 4)
	return p.story, nil
}

// until records the states of all seconds before this one.
func (p *player) until(second int) {
	for len(p.seconds) < second {
		states := make([]state, len(p.groups))
		for index, of := range p.groups {
			states[index] = of.state(p.size)
		}
		p.seconds = append(p.seconds, states)
	}
}

func (g *group) state(size int) state {
	isReady := len(g.pods) == size
	for _, of := range g.pods {
		if of.terminates {
			return state{phase: terminating, revision: g.revision}
		}
		isReady = isReady && of.isReady
	}
	switch {
	case len(g.pods) == 0:
		return state{phase: missing}
	case isReady:
		return state{phase: ready, revision: g.revision}
	default:
		return state{phase: unready, revision: g.revision}
	}
}

var (
	ofPods     = regexp.MustCompile(`^(.*) pod (a-[-0-9a, ]+)`)
	neverReady = regexp.MustCompile(`^sees pod (a-[-0-9]+) never ready again`)
	ofWorkers  = regexp.MustCompile(`^creates StatefulSet a-(\d+) \(.*revision (\d+)\)`)
	ofLeaders  = regexp.MustCompile(`^changes StatefulSet a \(.*revision \d+ to (\d+)`)
)

// change changes the groups as an event says.
func (p *player) change(next event) {
	if found := ofWorkers.FindStringSubmatch(next.what); found != nil {
		p.group(number(found[1])).revision = number(found[2])
		return
	}
	if found := ofLeaders.FindStringSubmatch(next.what); found != nil {
		p.revision = number(found[1])
		return
	}
	if found := neverReady.FindStringSubmatch(next.what); found != nil {
		p.changePod("has not ready", found[1])
		return
	}
	if found := ofPods.FindStringSubmatch(next.what); found != nil {
		for name := range strings.SplitSeq(found[2], ", ") {
			p.changePod(found[1], strings.TrimSpace(name))
		}
	}
}

// changePod changes a pod as a verb says. Other verbs change no state that pictures show.
func (p *player) changePod(verb, name string) {
	index := number(strings.Split(name, "-")[1])
	of := p.group(index)
	if verb == "creates" {
		if len(of.pods) == 0 {
			of.revision = p.revision
		}
		of.pods[name] = &pod{}
		return
	}
	current := of.pods[name]
	if current == nil {
		return
	}
	switch verb {
	case "has ready":
		current.isReady = true
	case "has not ready", "has failed", "restarts the container of":
		current.isReady = false
	case "deletes", "marks for deletion":
		current.terminates = true
	case "has stopped", "removes":
		delete(of.pods, name)
	}
}

// group returns the group with an index.
func (p *player) group(index int) *group {
	for len(p.groups) <= index {
		p.groups = append(p.groups, &group{pods: map[string]*pod{}})
	}
	return p.groups[index]
}

var (
	ofLeader    = regexp.MustCompile(`^deletes pod a-(\d+)$`)
	ofGroups    = regexp.MustCompile(`^changes StatefulSet a \(replicas (\d+) to (\d+)`)
	isRestarted = regexp.MustCompile(`^(?:event|warning) RecreateGroup$`)
)

// addCause adds an event of a user, a node or a kubelet, or a decision of the operator about groups, in words.
func (p *player) addCause(next event) {
	text := ""
	switch {
	case next.actor == "user" && neverReady.MatchString(next.what):
		text = strings.Replace(strings.TrimPrefix(next.what, "sees "), " never", " is never", 1)
	case next.actor == "user":
		text = "user " + strings.ReplaceAll(next.what, "LeaderWorkerSet a", "the set")
	case strings.HasPrefix(next.actor, "node-"):
		text = next.actor + " " + next.what
	case next.actor == "node controller", next.actor == "kubelet":
		text = accident(next)
	case next.actor == "operator, set a":
		text = decision(next)
	}
	last := len(p.causes) - 1
	if text != "" && last >= 0 && isRestarted.MatchString(next.what) && p.causes[last].isDeletionFor(next) {
		p.causes = p.causes[:last]
	}
	if text != "" {
		p.causes = append(p.causes, cause{next.second, text})
	}
}

// isDeletionFor reports whether the cause is the deletion of a leader for a restart, which the event reports as well.
func (c cause) isDeletionFor(restart event) bool {
	_, reason, _ := strings.Cut(c.text, ": ")
	return strings.HasPrefix(c.text, replaces) && strings.HasSuffix(restart.reason, reason)
}

// accident returns the words for what a kubelet or the node controller does to pods; empty for what is ordinary.
func accident(next event) string {
	found := ofPods.FindStringSubmatch(next.what)
	if found == nil {
		return ""
	}
	switch found[1] {
	case "has not ready":
		return next.actor + " finds not ready: " + found[2]
	case "marks for deletion":
		return next.actor + " marks for deletion: " + found[2]
	case "has ready", "has stopped":
		return ""
	default:
		return next.actor + " " + next.what
	}
}

// replaces begins the words for the deletion of a leader.
const replaces = "operator replaces group "

// decision returns the words for a decision of the operator about groups; empty for other writes.
func decision(next event) string {
	reason := strings.TrimSuffix(next.reason, "; the record of groups has changed")
	if found := ofLeader.FindStringSubmatch(next.what); found != nil {
		return replaces + found[1] + ": " + reason
	}
	if found := ofGroups.FindStringSubmatch(next.what); found != nil {
		if number(found[1]) < number(found[2]) {
			return "operator creates surge groups: " + reason
		}
		return "operator deletes surge groups: " + reason
	}
	if isRestarted.MatchString(next.what) {
		return "operator: " + next.reason
	}
	return ""
}
