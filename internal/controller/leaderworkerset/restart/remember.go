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
	in.addReturning(next)
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

// addReturning begins the time anew in which a group has to run for its count to start over, if the group was deferred.
// It didn't run meanwhile.
func (in *Input) addReturning(record Record) {
	for _, index := range in.Returning {
		if entry := record[index]; entry.Restarts > 0 {
			entry.LastRestart = in.Now.Add(rounding).Unix()
			record[index] = entry
		}
	}
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
		if wait > 0 && !in.isUrgent(next) && len(decision.Restarts) == 0 && !in.allComplete() {
			decision.RequeueAfter = requeue.Earliest(decision.RequeueAfter, wait)
			recorded = in.Record
		} else {
			decision.WriteRecord, decision.Record = true, next
		}
	}
	decision.Unrecorded = in.anyUnrecorded(recorded)
	return decision
}

// isUrgent reports whether a record has to be written at once: another leader has failed, its restart counts, or the
// release that is written with the record defers a group or ends that.
func (in *Input) isUrgent(next Record) bool {
	for index, entry := range next {
		known := in.Record[index]
		if entry.FailedLeader != known.FailedLeader || entry.Waiting != known.Waiting {
			return true
		}
		if entry != known && (slices.Contains(in.Deferred, index) || slices.Contains(in.Returning, index)) {
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
