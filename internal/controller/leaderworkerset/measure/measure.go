// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package measure decides what metrics count of a set. It counts what a pass observes as carried out, and not what a
// pass decides: a decision may be made again on a late view, and its write may fail.
//
// Everything that is counted has a key that doesn't come back: a restart has the UID of the leader that it ended, and a
// startup that of the leader that it began with. So nothing counts twice.
//
// The memory of counts is lost with the process, as the counters are. What happens while no operator runs isn't
// counted, but for groups that have changed meanwhile and are restarted for that.
package measure

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Counts are what one pass adds to the metrics of a set.
type Counts struct {
	// Restarts are the groups whose restart was carried out, lowest index first.
	Restarts []Restart

	// Startups are the times from the creation of a leader until its group was ready for the first time.
	Startups []time.Duration

	// Recoveries are the times from the failure of a group until the group was ready again.
	Recoveries []time.Duration

	// Rollouts are the rolling updates that have ended.
	Rollouts []Rollout

	// Unready is how many of the groups that the spec asks for aren't ready, by reason. Nil if the pass doesn't know.
	Unready map[leaderworkersetv1.UnreadyReason]int32
}

// Restart is one restart of a group.
type Restart struct {
	// Leader is the leader of the incarnation that ended.
	Leader types.UID

	Cause restart.Cause
}

// Result says how a rolling update ended.
type Result string

const (
	// Complete means that all groups are up to date.
	Complete Result = "Complete"

	// HeldByPartition means that only the partition keeps groups from being up to date.
	HeldByPartition Result = "HeldByPartition"
)

// Results are all results.
func Results() []Result { return []Result{Complete, HeldByPartition} }

// Rollout is a rolling update that has ended. A new template during a rolling update prolongs it.
type Rollout struct {
	Result   Result
	Duration time.Duration
}

// Memory is what a pass leaves for the next one to compare with. It is read-only.
type Memory struct {
	// Groups are the groups by index.
	Groups map[int32]Group

	// RolloutSince is when the rolling update began that the last pass observed; zero if it observed none.
	RolloutSince time.Time
}

// Group is what is remembered of one group.
type Group struct {
	// Started is the last leader whose startup is counted, or whose startup nobody knows.
	Started types.UID

	// Restarted is the last leader whose restart is counted.
	Restarted types.UID

	// Pending is the restart that was decided and that no pass has observed yet; the zero value for none.
	Pending Restart

	// FailedAt is when the failure of the group was observed; zero once the group is ready again.
	FailedAt time.Time
}

// Input is what is observed and decided in one pass.
type Input struct {
	// Set is the set as it was observed.
	Set *snapshot.Set

	// First says that no pass of this process has observed the set before.
	First bool

	// Replicas is how many groups there are to be, surge included. Nothing of groups beyond counts.
	Replicas int32

	// Restarts is the decision on restarts.
	Restarts *restart.Decision

	// Leaders are the leaders that the last pass observed.
	Leaders restart.Leaders

	// Failed are the groups that have failed in their present incarnation, by index.
	Failed map[int32]bool

	// Unready is how many groups aren't ready, by reason.
	Unready map[leaderworkersetv1.UnreadyReason]int32

	// Now is the present time.
	Now time.Time
}

// Next returns what a pass adds to the metrics, and what the next pass compares with.
func Next(memory Memory, in *Input) (Memory, Counts) {
	counts := Counts{Unready: in.Unready}
	next := Memory{Groups: map[int32]Group{}}
	next.RolloutSince = counts.addRollout(memory.RolloutSince, in.Set.LWS)
	if leaders := in.Set.OwnLeaders(); leaders == nil || leaders.DeletionTimestamp != nil {
		return next, counts
	}
	present := map[int32]snapshot.Group{}
	for _, group := range in.Set.Groups {
		present[group.Index] = group
	}
	decided := in.decidedRestarts()
	for _, index := range in.indices(&memory, present) {
		group, before := present[index], memory.Groups[index]
		after := before
		counts.Restarts = append(counts.Restarts, after.addRestarts(group, decided[index])...)
		counts.Recoveries = append(counts.Recoveries, after.addRecovery(in, index, group, decided[index])...)
		counts.Startups = append(counts.Startups, after.addStartup(in, group)...)
		if after != (Group{}) {
			next.Groups[index] = after
		}
	}
	return next, counts
}

// decided are the restarts of one group that a pass decided on, or finds carried out by others.
type decided struct {
	pending Restart   // its leader has yet to be deleted
	done    []Restart // its leader was replaced already
}

// decidedRestarts returns the restarts by the index of the group.
func (in *Input) decidedRestarts() map[int32]decided {
	all := map[int32]decided{}
	for index, failure := range in.Leaders.Deleted(in.Set.Groups, in.Restarts) {
		all[index] = decided{done: []Restart{{Leader: in.Leaders[index].UID, Cause: failure.Cause}}}
	}
	for _, due := range in.Restarts.Recreated {
		one := all[due.Group.Index]
		failed := in.Restarts.FailedLeaders[due.Group.Index]
		one.done = append(one.done, Restart{Leader: failed, Cause: due.Failure.Cause})
		all[due.Group.Index] = one
	}
	for _, due := range in.Restarts.Restarts {
		one := all[due.Group.Index]
		one.pending = Restart{Leader: due.Group.Leader.UID, Cause: due.Failure.Cause}
		all[due.Group.Index] = one
	}
	return all
}

// addRestarts returns the restarts of the group that are carried out, and remembers the one that was decided. present
// is the group as it is; it has no leader if there is none.
func (g *Group) addRestarts(present snapshot.Group, decided decided) []Restart {
	var counted []Restart
	if g.Pending != (Restart{}) && (!isLed(present) || present.Leader.UID != g.Pending.Leader) {
		counted = append(counted, g.Pending)
		g.Pending = Restart{}
	}
	counted = slices.DeleteFunc(append(counted, decided.done...), func(one Restart) bool {
		known := one.Leader == g.Restarted
		g.Restarted = one.Leader
		return known
	})
	if g.Pending == (Restart{}) && decided.pending.Leader != g.Restarted {
		g.Pending = decided.pending
	}
	return counted
}

// addRecovery returns how long the group took to be ready again, if it is now.
func (g *Group) addRecovery(in *Input, index int32, present snapshot.Group, decided decided) []time.Duration {
	previous := in.Leaders[index]
	lost := previous.UID != "" && !previous.Expected && !isLed(present)
	failed := in.Failed[index] || lost || decided.pending != (Restart{})
	if g.FailedAt.IsZero() && (failed || len(decided.done) > 0) {
		g.FailedAt = in.Now
	}
	if g.FailedAt.IsZero() || failed || !isLed(present) || !present.Ready() {
		return nil
	}
	took := in.Now.Sub(g.FailedAt)
	g.FailedAt = time.Time{}
	return []time.Duration{took}
}

// addStartup returns how long the group took to be ready for the first time, if it is now. Nobody knows that of groups
// that were there when this process or the set began: they may have been ready before.
func (g *Group) addStartup(in *Input, present snapshot.Group) []time.Duration {
	if !isLed(present) || present.Leader.UID == g.Started {
		return nil
	}
	created := present.Leader.CreationTimestamp
	switch {
	case in.First || created.Before(&in.Set.LWS.CreationTimestamp):
		g.Started = present.Leader.UID
	case present.Ready():
		g.Started = present.Leader.UID
		return []time.Duration{in.Now.Sub(created.Time)}
	}
	return nil
}

// isLed reports whether the group has a leader that isn't being deleted.
func isLed(group snapshot.Group) bool { return group.Leader != nil && !group.Terminating() }

// addRollout adds the rolling update that began at a time, if it has ended. It returns when the present one began.
func (c *Counts) addRollout(since time.Time, lws *leaderworkersetv1.LeaderWorkerSet) time.Time {
	updating := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress)
	switch {
	case updating == nil:
		return time.Time{}
	case updating.Status == metav1.ConditionTrue:
		return updating.LastTransitionTime.Time
	case !since.IsZero():
		result := Complete
		if updating.Reason == leaderworkersetv1.ReasonHeldByPartition {
			result = HeldByPartition
		}
		took := updating.LastTransitionTime.Sub(since)
		c.Rollouts = append(c.Rollouts, Rollout{Result: result, Duration: took})
	}
	return time.Time{}
}

// indices returns the indices of the groups that exist or are remembered, lowest first.
func (in *Input) indices(memory *Memory, present map[int32]snapshot.Group) []int32 {
	all := map[int32]bool{}
	for index := range present {
		all[index] = true
	}
	for index := range memory.Groups {
		all[index] = true
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(index int32) bool { return index >= in.Replicas })
}
