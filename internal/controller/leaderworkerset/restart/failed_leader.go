// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// FailedLeader is a leader pod that was in phase Failed. The StatefulSet controller deletes such a pod within
// milliseconds and creates the next leader, mostly before a pass over the group. So the watch remembers it.
type FailedLeader struct {
	UID     types.UID
	Failure Failure

	// Complete reports whether the group had been complete, as far as passes over the group had observed.
	Complete bool
}

// FailedLeaderOf returns a leader pod that failed, without Complete. ok is false for any other pod. A leader that is
// being deleted hasn't failed: its containers end because of the deletion. A leader that has Succeeded hasn't crashed
// either: the StatefulSet controller deletes it, which counts as a deletion.
func FailedLeaderOf(leader *corev1.Pod) (failed FailedLeader, ok bool) {
	if leader.Status.Phase != corev1.PodFailed || leader.DeletionTimestamp != nil {
		return FailedLeader{}, false
	}
	return FailedLeader{UID: leader.UID, Failure: podFailure(leader)}, true
}

// addFailedLeaders adds to the record the leaders that have failed since the last pass over the set.
func (in *Input) addFailedLeaders(record Record) {
	present := map[int32]types.UID{}
	for _, group := range in.Set.Groups {
		present[group.Index] = group.Leader.UID
	}
	for index, failed := range in.FailedLeaders {
		entry, previous := record[index], in.Leaders[index]
		isLast := failed.UID == present[index] || failed.UID == previous.UID
		expected := failed.UID == previous.UID && previous.Expected
		if index >= in.Replicas || !isLast || expected || entry.FailedLeader == failed.UID || !in.counts(failed, entry) {
			continue
		}
		entry.FailedLeader, entry.Waiting, entry.Reason = failed.UID, failed.Failure.Cause, failed.Failure.Message
		record[index] = entry
	}
}

// counts reports whether the restart policy restarts a group for the failure of its leader.
func (in *Input) counts(failed FailedLeader, entry Entry) bool {
	switch in.Set.LWS.RestartPolicy() {
	case leaderworkersetv1.NoneRestartPolicy:
		return false
	case leaderworkersetv1.RecreateGroupAfterStart:
		return failed.Complete || isOfLeader(entry.Fingerprint, failed.UID)
	default:
		return true
	}
}

// failedLeaders returns the leaders whose own failure ended an incarnation of their group last, by index.
func (r Record) failedLeaders() map[int32]types.UID {
	failed := map[int32]types.UID{}
	for index, entry := range r {
		if entry.FailedLeader != "" {
			failed[index] = entry.FailedLeader
		}
	}
	return failed
}

// startedOver returns the entry of a group whose crashes no longer count.
func (e Entry) startedOver() Entry {
	return Entry{Fingerprint: e.Fingerprint, FailedLeader: e.FailedLeader}
}

// asksToRecover reports whether somebody asks for a leader's group to be restarted, whatever its crashes.
func asksToRecover(leader *corev1.Pod) bool {
	return leader.Annotations[leaderworkersetv1.RecoverAnnotationKey] == "true"
}

// recovery returns why a group is restarted whose leader asks for it.
func recovery(leader *corev1.Pod) Failure {
	return Failure{
		Cause:   LeaderDeleted,
		Message: fmt.Sprintf("leader pod %s is annotated with %s", leader.Name, leaderworkersetv1.RecoverAnnotationKey),
	}
}

// GatesLeader reports whether a leader that is about to be created waits behind a scheduling gate until a pass over the
// set has decided on it. The leader before may have crashed, and the delay or the number of restarts may ask the group
// to wait. Only groups that could have to wait are gated: those that crashed before, and those of a set that allows no
// restart. No leader is gated that no pass would ungate: lws is nil if the set was deleted, and may be one that the
// operator can't run.
func GatesLeader(
	lws *leaderworkersetv1.LeaderWorkerSet, leaders *appsv1.StatefulSet, leader *corev1.Pod,
) bool {
	_, index, ok := identity.Parse(leader.Name)
	if !ok || lws == nil || leader.Spec.NodeName != "" || snapshot.WaitsForRestart(leader) ||
		lws.RestartPolicy() == leaderworkersetv1.NoneRestartPolicy || len(lws.Spec.Unsupported()) > 0 {
		return false
	}
	entry := entryOf(leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey], index)
	limit := lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts
	return entry.Restarts > 0 || entry.Waiting != "" || entry.ExhaustedLeader != "" ||
		(entry.Fingerprint != "" && limit != nil && *limit == 0)
}
