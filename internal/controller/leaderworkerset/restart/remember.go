// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"maps"
	"slices"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/requeue"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// nextRecord returns the record with the incarnations that are complete now. The entry of a failed group keeps its
// fingerprint: until the group is restarted, an operator that starts has to find it different.
func (in *Input) nextRecord() Record {
	next := Record{}
	for index, entry := range in.Record {
		if in.Set.LWS.RestartPolicy() == leaderworkersetv1.NoneRestartPolicy {
			entry = Entry{Uninjected: entry.Uninjected}
		}
		if index < in.Replicas && entry != (Entry{}) {
			next[index] = entry
		}
	}
	in.forgetUninjected(next)
	in.addFailedLeaders(next)
	for index, incarnation := range in.Incarnations {
		if index < in.Replicas && incarnation.Complete() && incarnation.Failure == (Failure{}) {
			entry := next[index]
			entry.Fingerprint = incarnation.Fingerprint
			next[index] = entry
		}
	}
	return next
}

// forgetUninjected removes the count of restarts for uninjected pods from groups that are ready now.
func (in *Input) forgetUninjected(record Record) {
	for _, group := range in.Set.Groups {
		entry := record[group.Index]
		if entry.Uninjected == 0 || !group.Ready() {
			continue
		}
		entry.Uninjected = 0
		record[group.Index] = entry
		if entry == (Entry{}) {
			delete(record, group.Index)
		}
	}
}

// record adds the record to a decision, if it differs: at once when a group is restarted or all groups are complete,
// else after an interval.
func (in *Input) record(decision Decision, next Record) Decision {
	recorded := next
	if !maps.Equal(in.Record, next) {
		wait := in.Options.RecordInterval.For(*in.Set.LWS.Spec.Replicas) - in.Now.Sub(in.RecordedAt)
		if wait > 0 && !isUrgent(in.Record, next) && len(decision.Restarts) == 0 && !in.allComplete() {
			decision.RequeueAfter = requeue.Earliest(decision.RequeueAfter, wait)
			recorded = in.Record
		} else {
			decision.WriteRecord, decision.Record = true, next.Format()
		}
	}
	decision.Unrecorded = in.anyUnrecorded(recorded)
	return decision
}

// isUrgent reports whether a record has to be written at once: another leader has failed, or its restart counts.
func isUrgent(before, next Record) bool {
	for index, entry := range next {
		if known := before[index]; entry.FailedLeader != known.FailedLeader || entry.Waiting != known.Waiting {
			return true
		}
	}
	return false
}

func (in *Input) allComplete() bool {
	for _, group := range in.Set.Groups {
		incarnation := in.Incarnations[group.Index]
		if incarnation.Leader != group.Leader.UID || !incarnation.Complete() {
			return false
		}
	}
	return len(in.Set.Groups) == int(in.Replicas)
}

// anyUnrecorded reports whether a group is ready of which the record says nothing.
func (in *Input) anyUnrecorded(record Record) bool {
	return in.Set.LWS.RestartPolicy() != leaderworkersetv1.NoneRestartPolicy &&
		slices.ContainsFunc(in.Set.Groups, func(group snapshot.Group) bool {
			entry, leader := record[group.Index], group.Leader.UID
			return group.Ready() && group.Index < *in.Set.LWS.Spec.Replicas &&
				!isOfLeader(entry.Fingerprint, leader) && entry.ExhaustedLeader != leader
		})
}
