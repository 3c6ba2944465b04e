// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// children are the writes of a pass, and what is in the way of others.
type children struct {
	writes    []write.Write
	obstacles []status.Obstacle
}

// childrenOf composes the writes of a pass. What has to be checked comes before the leader StatefulSet is changed, and
// the record is written with that StatefulSet before the first group is deleted.
func childrenOf(
	set *snapshot.Set, current revisionDecision, released *release.Decision, restarts *restart.Decision,
	missing *refusal.Decision, now time.Time,
) children {
	leaders, leadersTaken := leaderWrites(set, current, released, restarts, missing.RetriedAt(now))
	service, serviceTaken := serviceWrites(set, &current.template, released)
	excess, surplus := surplusGroups(set, missing), surplusRevisions(set, current.key)
	checked := checks(set, released, excess, leaders)
	deleted := slices.Concat(surplusClaims(set, excess),
		deletions(released, restarts, surplusLeaders(excess)), ungatings(restarts))
	own := set.OwnLeaders()
	if own == nil || own.Labels[leaderworkersetv1.RevisionLabelKey] != current.key {
		return children{ // The Service comes first: the pods of a new revision look for each other at once.
			writes:    slices.Concat(current.writes, checked, service, leaders, deleted, surplus),
			obstacles: slices.Concat(serviceTaken, leadersTaken),
		}
	}
	return children{ // The Service comes last: the pods run already.
		writes:    slices.Concat(current.writes, checked, leaders, deleted, surplus, service),
		obstacles: slices.Concat(leadersTaken, serviceTaken),
	}
}

// checks returns the check that has to succeed before groups are replaced, or are deleted as surplus. There is none if
// the leader StatefulSet is changed before, under the condition that its spec is as observed.
func checks(
	set *snapshot.Set, released *release.Decision, surplus []snapshot.Group, leaders []write.Write,
) []write.Write {
	switch {
	case len(leaders) > 0 && leaders[0].If >= write.SameSpec:
		return nil
	case len(released.Replace) > 0:
		return []write.Write{{Check: set.OwnLeaders(), Reason: "a late view could show groups that are replaced already"}}
	case len(surplus) > 0:
		return []write.Write{{Check: set.OwnLeaders(), Reason: "a late view could show fewer replicas"}}
	default:
		return nil
	}
}

// deletions deletes the leaders of the groups that are restarted, and of those that the rollout replaces. The pass over
// a group whose leader terminates stops its workers: in parallel to those of other groups, and also if the operator
// crashes in between.
func deletions(released *release.Decision, restarts *restart.Decision, surplus []write.Object) []write.Write {
	deleted := map[int32]bool{}
	restarted, replaced := make([]write.Object, 0, len(restarts.Restarts)), make([]write.Object, 0, len(released.Replace))
	for _, due := range restarts.Restarts {
		deleted[due.Group.Index] = true
		restarted = append(restarted, due.Group.Leader)
	}
	for _, group := range released.Replace {
		if !deleted[group.Index] {
			replaced = append(replaced, group.Leader)
		}
	}
	var writes []write.Write
	if len(restarted) > 0 {
		writes = append(writes, write.Write{Delete: restarted, Reason: restarts.Restarts[0].Failure.Message})
	}
	if len(replaced) > 0 {
		writes = append(writes, write.Write{Delete: replaced, Reason: released.Reason})
	}
	if len(surplus) > 0 {
		writes = append(writes, write.Write{
			Delete: surplus, Reason: "the StatefulSet controller doesn't scale down while a leader is missing",
		})
	}
	return writes
}
