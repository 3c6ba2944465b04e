// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/record"
	"github.com/leaderworkerset/lws-operator/internal/controller/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/status"
)

const (
	// firstDelay, longestDelay and forgetAfter shape the delay before a group that crashes again and again is recreated: none the first
	// time, then 10 s, 20 s, 40 s, … up to 5 min. They are those of the kubelet for containers; a group that held out for 10 min since it
	// was last recreated starts over.
	firstDelay   = 10 * time.Second
	longestDelay = 5 * time.Minute
	forgetAfter  = 10 * time.Minute

	// recordInterval is how often lives are written down while groups come and go. A moment when all groups are complete is always
	// written down, before the status tells of it.
	recordInterval = 2 * time.Second
)

// restarts has the groups recreated that have failed, and writes down what has to be remembered. The record is written before the first
// deletion, so that a crash in between neither loses a restart nor counts it twice.
func (p *setPlanner) restarts() {
	leaders := p.ownLeaders()
	if leaders == nil {
		return
	}
	remembered := record.Parse(leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey])
	next := p.livesToRemember(remembered)
	for _, group := range p.observed.Groups {
		life := p.observed.Lives[group.Index]
		if life.Failure == "" || life.Leader != group.Leader.UID || group.Terminating() {
			continue
		}
		entry, wait := restarted(remembered[group.Index], life, p.now)
		if wait > 0 {
			p.lookAgainAfter(wait)
			continue
		}
		next[group.Index] = entry
		p.recreated = append(p.recreated, group)
	}
	p.record(remembered, next)
	p.tellOfRestarts()
}

// restarted is what is remembered of a group once it is recreated, and how long that has to wait.
func restarted(before record.Group, life snapshot.Life, now time.Time) (after record.Group, wait time.Duration) {
	since := now.Sub(time.Unix(before.LastRestart, 0))
	after = before
	if since >= forgetAfter {
		after.Restarts = 0
	}
	if !life.Crashed {
		return after, 0
	}
	if wait = delay(after.Restarts) - since; wait > 0 {
		return before, wait
	}
	return record.Group{Life: before.Life, Restarts: after.Restarts + 1, LastRestart: now.Unix(), Reason: life.Failure}, 0
}

// delay is how long after its last restart a group may be recreated: 0, 10 s, 20 s, 40 s, 80 s, 160 s, 300 s, 300 s, …
func delay(restarts int32) time.Duration {
	if restarts == 0 {
		return 0
	}
	doublings := min(restarts-1, 5)
	return min(firstDelay<<doublings, longestDelay)
}

// livesToRemember is what is remembered with the complete lives of now. Failed ones stay as they were: until such a group is recreated,
// an operator that comes back has to find it different.
func (p *setPlanner) livesToRemember(remembered record.Groups) record.Groups {
	next := record.Groups{}
	for index, entry := range remembered {
		if index < p.decision.Replicas && p.lws.RestartPolicy() != leaderworkersetv1.NoneRestartPolicy {
			next[index] = entry
		}
	}
	for index, life := range p.observed.Lives {
		if index < p.decision.Replicas && life.Complete && life.Failure == "" {
			entry := next[index]
			entry.Life = life.Fingerprint()
			next[index] = entry
		}
	}
	return next
}

// record writes down what differs: at once when a group is recreated or all groups are complete, else now and then.
func (p *setPlanner) record(remembered, next record.Groups) {
	if maps.Equal(remembered, next) {
		return
	}
	if wait := recordInterval - p.now.Sub(p.observed.Recorded); wait > 0 && len(p.recreated) == 0 && !p.allComplete() {
		p.lookAgainAfter(wait)
		return
	}
	p.remember = ptr.To(record.Format(next))
}

func (p *setPlanner) allComplete() bool {
	for _, group := range p.observed.Groups {
		life := p.observed.Lives[group.Index]
		if life.Leader != group.Leader.UID || !life.Complete {
			return false
		}
	}
	return len(p.observed.Groups) == int(p.decision.Replicas)
}

// tellOfRestarts is one event for all groups that are recreated in this pass.
func (p *setPlanner) tellOfRestarts() {
	if len(p.recreated) == 0 {
		return
	}
	indices := make([]int32, len(p.recreated))
	for i, group := range p.recreated {
		indices[i] = group.Index
	}
	note := fmt.Sprintf("Recreating %s: %s", status.Groups(indices), p.observed.Lives[indices[0]].Failure)
	if others := len(indices) - 1; others > 0 {
		note += fmt.Sprintf("; %d more failures", others)
	}
	p.events = append(p.events, status.Event{
		Type: corev1.EventTypeNormal, Reason: leaderworkersetv1.ReasonRecreateGroup, Action: "Recreate", Note: note,
	})
}

// lookAgainAfter has the set looked at after that time at the latest.
func (p *setPlanner) lookAgainAfter(wait time.Duration) {
	if p.after == 0 || wait < p.after {
		p.after = wait
	}
}
