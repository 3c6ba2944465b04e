// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/record"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

const (
	// firstDelay, longestDelay and forgetAfter shape the delay before a group that crashes again and again is recreated: none the first
	// time, then 10 s, 20 s, 40 s, … up to 5 min. They are those of the kubelet for containers; a group that held out for 10 min since it
	// was last recreated starts over.
	firstDelay   = 10 * time.Second
	longestDelay = 5 * time.Minute
	forgetAfter  = 10 * time.Minute
)

// recordInterval is how often lives are written down while groups come and go: every 2 s up to 200 groups, every 5 s for 500. What fails
// less than that after its group was complete, and while no operator runs, goes unseen. A moment when all groups are complete is always
// written down, before the status tells of it.
var recordInterval = interval{least: 2 * time.Second, perGroup: 10 * time.Millisecond, most: 10 * time.Second}

// restarts has the groups recreated that have failed, and writes down what has to be remembered. The record is written before the first
// deletion, so that a crash in between neither loses a restart nor counts it twice.
func (p *setPlanner) restarts() {
	if p.ownLeaders() == nil {
		return
	}
	remembered := p.observed.Remembered
	next := p.livesToRemember(remembered)
	busy := len(p.letGo) > 0 // Nothing can be written down before the step that let them go has ended.
	p.crashes = map[int32]status.Crashes{}
	for _, group := range p.observed.Groups {
		if group.Terminating() || group.Index >= p.decision.Replicas {
			continue
		}
		if !busy {
			p.judge(group, next)
		}
		if entry := next[group.Index]; entry.Restarts > 0 || entry.Failed != "" {
			p.crashes[group.Index] = crashes(p.crashes[group.Index], entry, p.now)
		}
	}
	if busy {
		return
	}
	p.record(remembered, next)
	if p.remember != nil {
		remembered = next
	}
	p.unrecorded = p.anyUnrecorded(remembered)
}

// anyUnrecorded says whether a group is ready that nothing is remembered of: its next failure could go unseen while the operator is away.
func (p *setPlanner) anyUnrecorded(remembered record.Groups) bool {
	return p.lws.RestartPolicy() != leaderworkersetv1.NoneRestartPolicy &&
		slices.ContainsFunc(p.observed.Groups, func(group snapshot.Group) bool {
			entry, leader := remembered[group.Index], group.Leader.UID
			return group.Ready() && group.Index < *p.lws.Spec.Replicas &&
				!snapshot.IsOfLeader(entry.Life, leader) && entry.Failed != leader
		})
}

// judge decides what becomes of a group: nothing, if it hasn't failed; it is recreated, now or later; or it has used up its restarts.
func (p *setPlanner) judge(group snapshot.Group, next record.Groups) {
	life, entry := p.observed.Lives[group.Index], next[group.Index]
	known := life.Leader == group.Leader.UID
	if entry.Failed != "" && (entry.Failed != group.Leader.UID || p.mayRestart(entry)) {
		// Someone deleted the leader, or raised the limit: the group starts over, or goes on.
		if entry.Failed != group.Leader.UID {
			entry = record.Group{Life: entry.Life}
		}
		entry.Failed = ""
		next[group.Index] = entry
	}
	if entry.Failed != "" || !known || life.Failure == "" {
		return
	}
	if !life.Crashed {
		p.recreated = append(p.recreated, group)
		return
	}
	since := p.now.Sub(time.Unix(entry.LastRestart, 0))
	if since >= forgetAfter {
		entry.Restarts = 0
	}
	entry.Reason = life.Failure
	switch wait := delay(entry.Restarts) - since; {
	case !p.mayRestart(entry):
		entry.Failed = group.Leader.UID
		next[group.Index] = entry
	case wait > 0:
		p.lookAgainAfter(wait)
		p.crashes[group.Index] = status.Crashes{Waiting: life.Failure}
	default:
		// Whole seconds are written down, rounded up: the next delay is never shorter than it has to be.
		entry.Restarts, entry.LastRestart = entry.Restarts+1, p.now.Add(time.Second-time.Nanosecond).Unix()
		next[group.Index] = entry
		p.recreated = append(p.recreated, group)
	}
}

// mayRestart says whether the group's crashes in a row leave it another restart.
func (p *setPlanner) mayRestart(entry record.Group) bool {
	limit := p.lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts
	return limit == nil || entry.Restarts < *limit
}

// crashes is what the status tells of a group that crashed before.
func crashes(known status.Crashes, entry record.Group, now time.Time) status.Crashes {
	if entry.Failed != "" {
		known.Failed = entry.Reason
	}
	if known.Failed != "" || now.Sub(time.Unix(entry.LastRestart, 0)) < forgetAfter {
		known.Restarts = entry.Restarts
	}
	return known
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
		if index < p.decision.Replicas && life.Complete() && life.Failure == "" {
			entry := next[index]
			entry.Life = life.Fingerprint
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
	if wait := recordInterval.of(p.lws) - p.now.Sub(p.observed.Recorded); wait > 0 && len(p.recreated) == 0 && !p.allComplete() {
		p.lookAgainAfter(wait)
		return
	}
	p.remember = ptr.To(record.Format(next))
}

func (p *setPlanner) allComplete() bool {
	for _, group := range p.observed.Groups {
		life := p.observed.Lives[group.Index]
		if life.Leader != group.Leader.UID || !life.Complete() {
			return false
		}
	}
	return len(p.observed.Groups) == int(p.decision.Replicas)
}

// tellOfRestarts is one event for all groups that this pass recreates, and those that the StatefulSet controller has begun to: somebody
// else deleted their leader. Deletions that come late to the cache, or that are made once more, aren't told again.
func (p *setPlanner) tellOfRestarts() {
	reasons := map[int32]string{}
	for _, group := range p.recreated {
		if before := p.observed.Seen[group.Index]; before.UID != group.Leader.UID || !before.Leaving {
			reasons[group.Index] = p.observed.Lives[group.Index].Failure
		}
	}
	for _, group := range p.observed.Groups {
		if before, known := p.observed.Seen[group.Index]; known && before.UID != group.Leader.UID && !before.Leaving {
			reasons[group.Index] = fmt.Sprintf("leader pod %s was deleted", group.Leader.Name)
		}
	}
	if len(reasons) == 0 {
		return
	}
	indices := slices.Sorted(maps.Keys(reasons))
	note := fmt.Sprintf("Recreating %s: %s", status.Groups(indices), reasons[indices[0]])
	if len(indices) > 1 {
		note += ", and others"
	}
	p.steps = append(p.steps, status.Event{
		Type: corev1.EventTypeNormal, Reason: leaderworkersetv1.ReasonRecreateGroup, Action: "Recreate", Note: note,
	})
}

// lookAtLeaders has the next pass compare with the leaders of this one. Those that are gone are kept until another one takes their place,
// unless the whole leader StatefulSet is gone or going.
func (p *setPlanner) lookAtLeaders() {
	p.seen = map[int32]snapshot.SeenLeader{}
	if leaders := p.ownLeaders(); leaders == nil || leaders.DeletionTimestamp != nil {
		return
	}
	for index, before := range p.observed.Seen {
		if index < p.decision.Replicas {
			p.seen[index] = before
		}
	}
	for _, group := range p.observed.Groups {
		before := p.seen[group.Index]
		if before.UID != group.Leader.UID {
			before = snapshot.SeenLeader{UID: group.Leader.UID, Leaving: group.Terminating()}
		}
		if p.taken[group.Index] || (p.mayGo(group) && !group.Terminating()) {
			before.Leaving = true // For good: a cache that is late could show it as staying once more.
		}
		p.seen[group.Index] = before
	}
}

// mayGo says whether the StatefulSet controller may take the group down: there are too many, or a rollout lets it go.
func (p *setPlanner) mayGo(group snapshot.Group) bool {
	outdated := group.Revision() != p.key
	return (outdated && p.nextOrder().LetsGo(group.Index)) || group.Index >= p.decision.Replicas || slices.Contains(p.letGo, group.Index)
}

// lookAgainAfter has the set looked at after that time at the latest.
func (p *setPlanner) lookAgainAfter(wait time.Duration) {
	if p.after == 0 || wait < p.after {
		p.after = wait
	}
}
