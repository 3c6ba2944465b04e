// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan composes the decisions of a pass over a LeaderWorkerSet into one ordered list of writes, the status, and
// the events. It decides everything and writes nothing.
package plan

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/kstatus"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/requeue"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Options shape plans.
type Options struct {
	// StatusInterval is how often a status is written that only counts on.
	StatusInterval write.Interval

	// TextInterval is how often a status is written that only explains the same reasons of the same pods in other words.
	TextInterval time.Duration

	// Restarts shape restarts.
	Restarts restart.Options

	// Refusals shape what happens while pods are missing.
	Refusals refusal.Options

	// UnschedulableAfter is how long no node has to be able to take a pod, or another controller's scheduling gate has to
	// hold one, until its group counts as one that lacks room. Rollouts release no further groups meanwhile.
	UnschedulableAfter time.Duration
}

// DefaultOptions returns the options that the operator runs with. The status is written once a second for up to 250
// groups, every 2 s for 500: a rolling update of 500 groups that takes 100 s is 50 writes. A claim may be
// bound seconds after the scheduler has called its pod unschedulable.
func DefaultOptions() Options {
	return Options{
		StatusInterval: write.Interval{Min: time.Second, PerGroup: 4 * time.Millisecond, Max: 5 * time.Second},
		TextInterval:   time.Minute,
		Restarts:       restart.DefaultOptions(),
		Refusals:       refusal.DefaultOptions(),

		UnschedulableAfter: 5 * time.Second,
	}
}

// Set is what one pass over a LeaderWorkerSet does, in this order.
type Set struct {
	// Writes are the changes of child objects. The first one that fails ends them.
	Writes []write.Write

	// WriteEvents are recorded once the writes are made, also if one of them failed.
	WriteEvents []write.Event

	// WritesRecord says that the writes include the record.
	WritesRecord bool

	// Status is the status after this pass.
	Status leaderworkersetv1.LeaderWorkerSetStatus

	// StatusEvents are recorded once the status is written.
	StatusEvents []write.Event

	// Leaders, Record, Missing and Holds are for the memory of the next pass.
	Leaders restart.Leaders
	Record  restart.StoredRecord
	Missing refusal.Memory
	Holds   release.Holds

	// Measured is for the memory of the next pass, and Counts for the metrics.
	Measured measure.Memory
	Counts   measure.Counts

	// RequeueAfter is when the next pass is due at the latest; 0 if it waits for an event.
	RequeueAfter time.Duration

	// Reason says in words where the rolling update is.
	Reason string
}

// ForSet plans a pass over a LeaderWorkerSet. An unchanged world gives no writes, an equal status and no events. now is
// the time of conditions that change. The error is that the set's own templates can't be written as a revision.
func ForSet(set *snapshot.Set, memory *Memory, now time.Time, options *Options) (Set, error) {
	record := restart.ReadRecord(recordOf(set), memory.Record)
	if why := snapshot.WhyLeftAlone(set.LWS, set.Scheduling); why != "" {
		return leaveAlone(set, memory, record, why, now, options), nil
	}
	if writes, wait := reclaim(set); wait {
		return waitForReclaim(set, memory, record, writes, now), nil
	}
	current, err := currentRevision(set)
	if err != nil {
		return Set{}, err
	}
	missing := missingLeaders(set, memory, now, options)
	released := release.Next(releaseInput(set, memory, current.key, record.Entries, &missing, now, options))
	restarts := restart.Next(restartInput(set, memory, current.key, record.Entries, &released, now, options))
	children := childrenOf(set, current, &released, &restarts, &missing, now)
	reported := status.Input{
		Set:        set,
		Revision:   current.key,
		Release:    released,
		Obstacles:  slices.Concat(memory.Obstacles, children.obstacles, othersInTheWay(set, &missing, &released)),
		Crashes:    restarts.Crashes,
		Unrecorded: restarts.Unrecorded,
		Now:        metav1.NewTime(now),
	}
	next, statusEvents := status.Next(reported)
	measured, counts := measure.Next(memory.Measured, &measure.Input{
		Set: set, First: memory.Unknown, Replicas: released.Replicas,
		Restarts: &restarts, Leaders: memory.Leaders,
		Failed:  restart.Failed(set.Groups, memory.Incarnations, record.Entries),
		Unready: status.UnreadyCounts(reported), Now: now,
	})
	gaveWay := surgeEvents(set.LWS, &released, next.UnreadyGroups, now)
	next, wait := delayed(set.LWS, next, memory.StatusWrittenAt, now, options)
	return Set{
		Writes:       children.writes,
		WriteEvents:  slices.Concat(current.events, gaveWay, restartEvents(memory.Leaders, set.Groups, &restarts)),
		WritesRecord: restarts.WriteRecord,
		Status:       next,
		StatusEvents: statusEvents,
		Leaders:      nextLeaders(set, memory.Leaders, current.key, &released, &restarts, now),
		Record:       record,
		Missing:      missing.Memory,
		Holds:        released.Holds,
		Measured:     measured,
		Counts:       counts,
		RequeueAfter: requeue.Earliest(restarts.RequeueAfter, wait, kstatus.UntilStalled(next.Conditions, now),
			missing.RequeueAfter, released.RequeueAfter),
		Reason: released.Reason,
	}, nil
}

// releaseInput returns what the decision on the rolling update looks at.
func releaseInput(
	set *snapshot.Set, memory *Memory, key string, record restart.Record, missing *refusal.Decision, now time.Time,
	options *Options,
) release.Input {
	return release.Input{
		Set:         set,
		Key:         key,
		Failed:      restart.Failed(set.Groups, memory.Incarnations, record),
		Refused:     missing.Refused,
		Unconfirmed: missing.Unconfirmed || slices.ContainsFunc(set.Groups, snapshot.Group.Unconfirmed),
		Holds:       memory.Holds,
		Now:         now,

		ConfirmAfter: options.UnschedulableAfter,
	}
}

// restartInput returns what the decision on restarts looks at.
func restartInput(
	set *snapshot.Set, memory *Memory, key string, record restart.Record, released *release.Decision, now time.Time,
	options *Options,
) restart.Input {
	deferred, returning := deferredGroups(set, key, released)
	return restart.Input{
		Set: set, Replicas: released.Replicas, Deferred: deferred, Returning: returning,
		Suspended:    len(released.Unfinished) > 0,
		Incarnations: memory.Incarnations, Leaders: memory.Leaders, FailedLeaders: memory.FailedLeaders,
		Record: record, RecordedAt: memory.RecordedAt,
		Now: now, Options: options.Restarts,
	}
}

// deferredGroups returns the groups that are deferred and have the same revision after that, and those that the release
// no longer defers.
func deferredGroups(set *snapshot.Set, key string, released *release.Decision) (deferred, returning []int32) {
	isUpdated := func(index int32) bool {
		return slices.ContainsFunc(set.Groups, func(group snapshot.Group) bool {
			return group.Index == index && group.Revision() != key && released.Includes(index)
		})
	}
	deferred = slices.DeleteFunc(slices.Clone(released.Deferred), isUpdated)
	if leaders := set.OwnLeaders(); leaders != nil {
		returning = slices.DeleteFunc(release.Of(leaders).Deferred, func(index int32) bool {
			return slices.Contains(released.Deferred, index)
		})
	}
	return deferred, returning
}

// recordOf returns what the leader StatefulSet remembers of groups, whoever owns it.
func recordOf(set *snapshot.Set) string {
	if set.Leaders == nil {
		return ""
	}
	return set.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]
}

// leaveAlone returns the plan of a pass over a set that this operator can't run, see [snapshot.WhyLeftAlone].
// Its pods stay as they are: any change would replace them by others.
func leaveAlone(
	set *snapshot.Set, memory *Memory, record restart.StoredRecord, why string, now time.Time, options *Options,
) Set {
	obstacle := status.Obstacle{
		Group: status.WholeSet, Reason: leaderworkersetv1.ReasonFailedUpdate,
		Message: why + ": the operator leaves the set and its pods as they are",
	}
	next, events := status.Unchanged(status.Input{
		Set: set, Obstacles: []status.Obstacle{obstacle}, Now: metav1.NewTime(now),
	})
	var lookAgain time.Duration
	if set.Scheduling.MayAppear() {
		lookAgain = options.TextInterval
	}
	return Set{
		Status: next, StatusEvents: events, Leaders: memory.Leaders, Record: record, Measured: memory.Measured,
		RequeueAfter: lookAgain, Reason: obstacle.Message,
	}
}

// waitForReclaim returns the plan of a pass that can say nothing about groups before its writes are made.
func waitForReclaim(
	set *snapshot.Set, memory *Memory, record restart.StoredRecord, writes []write.Write, now time.Time,
) Set {
	next, events := status.Unchanged(status.Input{Set: set, Obstacles: memory.Obstacles, Now: metav1.NewTime(now)})
	return Set{
		Writes: writes, Status: next, StatusEvents: events, Leaders: memory.Leaders, Record: record,
		Missing: memory.Missing, Holds: memory.Holds, Measured: memory.Measured,
		RequeueAfter: kstatus.UntilStalled(next.Conditions, now),
		Reason:       "objects of the set have to be reclaimed first",
	}
}

// othersInTheWay reports what is in the way of pods, and of the rollout.
func othersInTheWay(set *snapshot.Set, missing *refusal.Decision, released *release.Decision) []status.Obstacle {
	return append(uninjectedPods(set), refusals(set, missing, released)...)
}

// uninjectedPods reports the groups that wait for their restart because a pod was created without the webhook.
func uninjectedPods(set *snapshot.Set) []status.Obstacle {
	var obstacles []status.Obstacle
	for _, group := range set.Groups {
		if pod := group.Uninjected; pod != nil && !group.Terminating() {
			obstacles = append(obstacles, status.Obstacle{
				Group:   group.Index,
				Reason:  leaderworkersetv1.ReasonFailedCreate,
				Message: fmt.Sprintf("group %d: %s; the group is recreated", group.Index, snapshot.CreatedWithoutWebhook(pod)),
			})
		}
	}
	return obstacles
}

// nextLeaders returns the leaders for the next pass to compare with.
func nextLeaders(
	set *snapshot.Set, previous restart.Leaders, key string, released *release.Decision, restarts *restart.Decision,
	now time.Time,
) restart.Leaders {
	deleted := map[int32]bool{}
	for _, due := range restarts.Restarts {
		deleted[due.Group.Index] = true
	}
	for _, group := range released.Replace {
		deleted[group.Index] = true
	}
	return previous.Next(set, released.Replicas, restarts, now, func(group snapshot.Group) bool {
		return deleted[group.Index] || (released.MayStop(group, key) && !group.Terminating())
	})
}

// delayed returns the status to write now, and when to look at it again: the present one if the next is not urgent,
// counts only a part of the groups, and another one was written just before. New texts alone wait for longer.
func delayed(
	lws *leaderworkersetv1.LeaderWorkerSet, next leaderworkersetv1.LeaderWorkerSetStatus,
	writtenAt, now time.Time, options *Options,
) (leaderworkersetv1.LeaderWorkerSetStatus, time.Duration) {
	before, replicas := lws.Status, *lws.Spec.Replicas
	interval := options.StatusInterval.For(replicas)
	onlyTexts := status.DifferInTexts(&before, &next)
	if onlyTexts {
		interval = options.TextInterval
	}
	wait := interval - now.Sub(writtenAt)
	complete := next.Replicas == replicas && next.ReadyReplicas == replicas && next.UpdatedReplicas == replicas
	urgent := (complete && !onlyTexts) || status.IsUrgent(&before, &next)
	if wait <= 0 || urgent || equality.Semantic.DeepEqual(before, next) {
		return next, 0
	}
	return before, wait
}
