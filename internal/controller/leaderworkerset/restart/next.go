// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package restart decides which groups are restarted when, and why. It follows the incarnations of groups, remembers
// them across restarts of the operator, delays the restarts of groups that crash again and again, and bounds their
// number.
package restart

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/requeue"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Input is what one decision looks at.
type Input struct {
	// Set is the set as it was observed.
	Set *snapshot.Set

	// Replicas is how many groups there are to be, surge included. Groups beyond are not restarted.
	Replicas int32

	// Incarnations are those that passes over the groups observed, by index.
	Incarnations map[int32]Incarnation

	// Leaders are the leaders that the last pass over the set observed.
	Leaders Leaders

	// FailedLeaders are the leaders that were in phase Failed last, by index. They may be deleted already.
	FailedLeaders map[int32]FailedLeader

	// Record is what the leader StatefulSet remembers.
	Record Record

	// RecordedAt is when this process last wrote the record; zero if it hasn't.
	RecordedAt time.Time

	// Deferred are the groups that get no pods for now, and have the same revision after that. Returning are the groups
	// that are no longer deferred. The operator has deleted their leaders, so nobody has asked for their counts to start
	// over.
	Deferred, Returning []int32

	// Suspended delays all restarts: no record can be written while the step towards an earlier revision is unfinished.
	Suspended bool

	// Now is the present time.
	Now time.Time

	// Options shape the restarts.
	Options Options
}

// Decision is which groups are restarted, and what is remembered.
type Decision struct {
	// Restarts are the groups to restart now. The record is written before the first deletion, so that a crash of the
	// operator in between neither loses a restart nor counts it twice.
	Restarts []Restart

	// Recreated are the groups whose leader failed, and which the StatefulSet controller has given another leader since.
	// Their restart counts from now on.
	Recreated []Restart

	// Ungate are the groups whose leader doesn't have to wait any longer, see [GatesLeader].
	Ungate []snapshot.Group

	// FailedLeaders are the leaders whose own failure ended an incarnation of their group last, by index.
	FailedLeaders map[int32]types.UID

	// WriteRecord says that Record has to be written.
	WriteRecord bool

	// Record is what the leader StatefulSet has to remember.
	Record Record

	// Unrecorded reports that a group is ready of which the record says nothing. Its next failure could go unnoticed while
	// the operator is away.
	Unrecorded bool

	// Crashes are the groups that crashed, by index.
	Crashes map[int32]Crash

	// RequeueAfter is when the next restart or record is due; 0 if none is.
	RequeueAfter time.Duration
}

// Restart is a group that is restarted.
type Restart struct {
	Group   snapshot.Group
	Failure Failure
}

// Crash is what is known of a group that crashed.
type Crash struct {
	// Restarts is how often in a row the group was restarted for that.
	Restarts int32

	// Waiting is the last error of a group that waits for its restart; empty for others.
	Waiting string

	// Exhausted is the last error of a group that has no restarts left; empty for others.
	Exhausted string
}

// Next decides on the restarts of a pass over a set.
func Next(in Input) Decision {
	if in.Set.OwnLeaders() == nil {
		return Decision{}
	}
	next, decision := in.nextRecord(), Decision{Crashes: map[int32]Crash{}}
	for _, group := range in.Set.Groups {
		if group.Terminating() || group.Index >= in.Replicas {
			continue
		}
		verdict := verdict{entry: next[group.Index]}
		if !in.Suspended {
			verdict = in.deferred(group, in.decide(group, next[group.Index]))
			decision.add(group, verdict, in.Leaders[group.Index])
		}
		if verdict.entry != next[group.Index] {
			next[group.Index] = verdict.entry
		}
		if crash := in.crash(group, verdict); crash != (Crash{}) {
			decision.Crashes[group.Index] = crash
		}
	}
	decision.FailedLeaders = next.failedLeaders()
	if in.Suspended {
		return decision
	}
	return in.record(decision, next)
}

// add adds what happens to a group. known is its leader as the last pass observed it.
func (d *Decision) add(group snapshot.Group, verdict verdict, known Leader) {
	isCounted := known.Counted && known.UID == group.Leader.UID
	switch {
	case verdict.restart:
		d.Restarts = append(d.Restarts, Restart{Group: group, Failure: verdict.failure})
	case verdict.recreated && !isCounted:
		d.Recreated = append(d.Recreated, Restart{Group: group, Failure: verdict.failure})
	}
	if snapshot.WaitsForRestart(group.Leader) && verdict.mayRun() {
		d.Ungate = append(d.Ungate, group)
	}
	d.RequeueAfter = requeue.Earliest(d.RequeueAfter, verdict.wait)
}

// verdict is what happens to one group.
type verdict struct {
	entry     Entry         // what to remember of the group
	restart   bool          // restart it now
	recreated bool          // the StatefulSet controller has restarted it
	failure   Failure       // why, if one of both holds
	wait      time.Duration // until its restart; 0 if it waits for none
}

// mayRun reports whether the leader of the group may be placed on a node.
func (v *verdict) mayRun() bool { return !v.restart && v.wait == 0 && v.entry.ExhaustedLeader == "" }

// decide returns what happens to a group: nothing unless it has failed; else it is restarted, now or later, or it has
// no restarts left.
func (in *Input) decide(group snapshot.Group, entry Entry) verdict {
	if group.Uninjected != nil {
		return in.decideUninjected(group, entry)
	}
	leader, incarnation := group.Leader.UID, in.Incarnations[group.Index]
	entry = in.resumed(entry, group)
	failed := incarnation.failedAs(leader)
	switch {
	case asksToRecover(group.Leader) && (failed || entry.Waiting != "" || entry.ExhaustedLeader != ""):
		return verdict{entry: entry.startedOver(), restart: true, failure: recovery(group.Leader)}
	case entry.ExhaustedLeader != "":
		return verdict{entry: entry}
	case entry.Waiting != "" && entry.FailedLeader == leader:
		return verdict{entry: entry} // The StatefulSet controller is about to replace the leader.
	case entry.Waiting != "":
		return in.decideCrash(group, entry, Failure{Cause: entry.Waiting, Message: entry.Reason, Crashed: true})
	case !failed:
		return verdict{entry: entry}
	case !incarnation.Failure.Crashed:
		return verdict{entry: entry, restart: true, failure: incarnation.Failure}
	default:
		return in.decideCrash(group, entry, incarnation.Failure)
	}
}

// deferred returns the verdict on a group that is deferred, or any other. A deferred group that has no restarts left
// runs once more after that, and keeps its count.
func (in *Input) deferred(group snapshot.Group, verdict verdict) verdict {
	if verdict.entry.ExhaustedLeader == group.Leader.UID && slices.Contains(in.Deferred, group.Index) {
		verdict.entry.ExhaustedLeader = ""
	}
	return verdict
}

// decideCrash returns what happens to a group that crashed. If its leader failed, the StatefulSet controller has
// restarted the group already. Then its new leader waits behind a scheduling gate, and the restart counts when the gate
// is removed. A new leader without a gate can't wait.
func (in *Input) decideCrash(group snapshot.Group, entry Entry, failure Failure) verdict {
	crashed, since := entry, in.Now.Sub(time.Unix(entry.LastRestart, 0))
	crashed.Reason = failure.Message
	if since >= in.Options.HealthyAfter {
		crashed.Restarts = 0
	}
	replaced := entry.Waiting != ""
	canWait := !replaced || snapshot.WaitsForRestart(group.Leader)
	switch wait := in.Options.wait(crashed.Restarts, since); {
	case !in.mayRestart(crashed):
		crashed.ExhaustedLeader = group.Leader.UID
		return verdict{entry: crashed}
	case wait > 0 && canWait:
		return verdict{entry: entry, wait: wait}
	default:
		// Whole seconds are recorded, rounded up: the next delay is never shorter than it has to be.
		crashed.Restarts++
		crashed.LastRestart = in.Now.Add(rounding).Unix()
		crashed.Waiting = ""
		return verdict{entry: crashed, restart: !replaced, recreated: replaced, failure: failure}
	}
}

// decideUninjected returns what happens to a group with a pod that was created without the webhook: it is restarted,
// whatever else has failed. The restart is no crash, and doesn't count against maxGroupRestarts.
//
// It waits from the creation of the pod, the first time as well: the configuration of the webhook mostly comes back
// soon, and then one restart is enough. The delay grows: the webhook may be kept from the namespace for good.
//
// If the leader has failed as well, this is the restart for both. It is not counted once more for the failure.
func (in *Input) decideUninjected(group snapshot.Group, entry Entry) verdict {
	pod := group.Uninjected
	wait := in.Options.delay(entry.Uninjected+1) - in.Leaders[group.Index].uninjectedFor(group, in.Now)
	if wait > 0 {
		return verdict{entry: entry, wait: wait}
	}
	entry.Uninjected++
	if entry.FailedLeader == group.Leader.UID {
		entry.Waiting = ""
	}
	failure := Failure{Cause: Uninjected, Message: snapshot.CreatedWithoutWebhook(pod)}
	return verdict{entry: entry, restart: true, failure: failure}
}

// resumed returns the entry of a group that had no restarts left, or whose new leader waited. It starts over if
// somebody deleted that leader, and goes on if somebody raised the limit. A leader that failed by itself changes
// nothing.
func (in *Input) resumed(entry Entry, group snapshot.Group) Entry {
	leader, previous := group.Leader.UID, in.Leaders[group.Index].UID
	waited := entry.Waiting != "" && previous != "" && previous != entry.FailedLeader
	switch {
	case entry.ExhaustedLeader == "" && waited && previous != leader:
		entry.Waiting = ""
	case entry.ExhaustedLeader == "":
	case entry.ExhaustedLeader == leader && in.mayRestart(entry):
		entry.ExhaustedLeader = ""
	case entry.ExhaustedLeader == leader:
	case entry.ExhaustedLeader == entry.FailedLeader && entry.Waiting != "":
		entry.ExhaustedLeader = ""
	default:
		return entry.startedOver()
	}
	return entry
}

// mayRestart reports whether the group's crashes in a row leave it another restart.
func (in *Input) mayRestart(entry Entry) bool {
	limit := in.Set.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts
	return limit == nil || entry.Restarts < *limit
}

// crash returns what the status reports of a group that crashed; the zero value for any other.
func (in *Input) crash(group snapshot.Group, verdict verdict) Crash {
	var crash Crash
	switch {
	case group.Uninjected != nil:
	case verdict.entry.Waiting != "":
		crash.Waiting = verdict.entry.Reason
	case verdict.wait > 0:
		crash.Waiting = in.Incarnations[group.Index].Failure.Message
	}
	if verdict.entry.ExhaustedLeader != "" {
		crash.Exhausted = verdict.entry.Reason
	}
	since := in.Now.Sub(time.Unix(verdict.entry.LastRestart, 0))
	if crash.Exhausted != "" || since < in.Options.HealthyAfter {
		crash.Restarts = verdict.entry.Restarts
	}
	return crash
}
