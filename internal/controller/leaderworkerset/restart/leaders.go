// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Leaders are the leader pods that the last pass over a set observed, by the groups' index. The next pass compares.
type Leaders map[int32]Leader

// Leader is a leader pod as the last pass observed it.
type Leader struct {
	UID types.UID

	// Expected says that the leader's deletion is no failure. The operator deletes it, or the StatefulSet controller may
	// do so for a rollout or because fewer groups are asked for, or it was terminating when a pass first observed it.
	Expected bool

	// Disruption is the cause that the leader gave for its end; empty if it gave none.
	Disruption Cause

	// Counted says that a pass has counted the restart that this leader is the result of. A late view of the record may
	// show it as yet to count.
	Counted bool

	// UninjectedAt is when a pass first observed that a pod of the group was created without the webhook; zero if none
	// was. A clock that was set back shows the time once more.
	UninjectedAt time.Time
}

// uninjectedFor returns how long a pod of a group has been known as one that was created without the webhook. That is
// its age, unless it was created in the future: the operator's clock is behind that of the API server, or was set back.
func (l Leader) uninjectedFor(group snapshot.Group, now time.Time) time.Duration {
	since := group.Uninjected.CreationTimestamp.Time
	if since.After(now) && l.UID == group.Leader.UID {
		since = l.UninjectedAt
	}
	if since.IsZero() || since.After(now) {
		since = now
	}
	return now.Sub(since)
}

// Failures returns why groups are restarted, by index: those that a decision restarts or counts as restarted, and those
// whose leader somebody else deleted and the StatefulSet controller created again. A deletion that was reported before
// is left out.
func (l Leaders) Failures(groups []snapshot.Group, decision *Decision) map[int32]Failure {
	failures := map[int32]Failure{}
	for _, restart := range decision.Restarts {
		leader := restart.Group.Leader
		if previous := l[restart.Group.Index]; previous.UID != leader.UID || !previous.Expected {
			failures[restart.Group.Index] = restart.Failure
		}
	}
	maps.Copy(failures, l.counted(groups, decision))
	return failures
}

// Deleted returns the groups whose leader somebody else deleted and the StatefulSet controller created again, by index.
func (l Leaders) Deleted(groups []snapshot.Group, decision *Decision) map[int32]Failure {
	failures := map[int32]Failure{}
	for _, group := range groups {
		previous, known := l[group.Index]
		failed := decision.FailedLeaders[group.Index] == previous.UID
		if known && previous.UID != group.Leader.UID && !previous.Expected && !failed {
			what := fmt.Sprintf("leader pod %s was deleted", group.Leader.Name)
			failures[group.Index] = deletion(what, previous.Disruption, LeaderDeleted)
		}
	}
	return failures
}

// Next returns the leaders for the next pass to compare with. expected reports whether the deletion of a group's leader
// is no failure from now on. A deleted leader is kept until another one replaces it, unless the whole leader
// StatefulSet is deleted.
func (l Leaders) Next(
	set *snapshot.Set, replicas int32, decision *Decision, now time.Time, expected func(snapshot.Group) bool,
) Leaders {
	next := Leaders{}
	if leaders := set.OwnLeaders(); leaders == nil || leaders.DeletionTimestamp != nil {
		return next
	}
	for index, previous := range l {
		if index < replicas {
			next[index] = previous
		}
	}
	for _, group := range set.Groups {
		leader := next[group.Index]
		if leader.UID != group.Leader.UID {
			leader = Leader{UID: group.Leader.UID, Expected: group.Terminating()}
		}
		// Once expected, it stays so: a late cache could show the leader as staying once more.
		leader.Expected = leader.Expected || expected(group)
		leader.Disruption = cmp.Or(leader.Disruption, disruptionOf(group.Leader))
		switch {
		case group.Uninjected == nil:
			leader.UninjectedAt = time.Time{}
		case leader.UninjectedAt.IsZero() || leader.UninjectedAt.After(now):
			leader.UninjectedAt = now
		}
		next[group.Index] = leader
	}
	for index := range l.counted(set.Groups, decision) {
		leader := next[index]
		leader.Counted = true
		next[index] = leader
	}
	return next
}

// counted returns why groups were restarted that have their next leader already, by index.
func (l Leaders) counted(groups []snapshot.Group, decision *Decision) map[int32]Failure {
	failures := map[int32]Failure{}
	for _, restart := range decision.Recreated {
		failures[restart.Group.Index] = restart.Failure
	}
	maps.Copy(failures, l.Deleted(groups, decision))
	return failures
}
