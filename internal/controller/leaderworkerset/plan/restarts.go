// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// restartEvents is one event for all groups that are restarted, and for those whose leader somebody else deleted. It is
// a warning if the workload of one of them crashed, and then quotes that crash.
func restartEvents(previous restart.Leaders, groups []snapshot.Group, restarts *restart.Decision) []write.Event {
	failures := previous.Failures(groups, restarts)
	if len(failures) == 0 {
		return nil
	}
	indices := slices.Sorted(maps.Keys(failures))
	quoted, kind := failures[indices[0]], corev1.EventTypeNormal
	crashed := slices.IndexFunc(indices, func(index int32) bool { return failures[index].Cause.IsCrash() })
	if crashed >= 0 {
		quoted, kind = failures[indices[crashed]], corev1.EventTypeWarning
	}
	note := fmt.Sprintf("Recreating %s: %s", status.Groups(indices), quoted.Message)
	if len(indices) > 1 {
		note += ", and others"
	}
	return []write.Event{{Type: kind, Reason: leaderworkersetv1.ReasonRecreateGroup, Action: "Recreate", Note: note}}
}

// ungatings let the leaders of groups be placed that don't have to wait any longer. They come after the record, which
// counts the restarts of those groups.
func ungatings(restarts *restart.Decision) []write.Write {
	writes := make([]write.Write, 0, len(restarts.Ungate))
	for _, group := range restarts.Ungate {
		ungated := group.Leader.DeepCopy()
		ungated.Spec.SchedulingGates = slices.DeleteFunc(ungated.Spec.SchedulingGates, snapshot.IsRestartGate)
		writes = append(writes, write.Write{
			Patch: &write.Patch{From: group.Leader, To: ungated}, If: write.SameVersion,
			Reason: "the group may run",
		})
	}
	return writes
}
