// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// maxUnreadyMessage bounds the message of an unready group, in bytes. The CRD takes 1024 characters.
const maxUnreadyMessage = 1000

// unreadyGroups returns groups that aren't ready, lowest index first. A group whose reason stays keeps its time.
func unreadyGroups(in Input, replicas int32) []leaderworkersetv1.UnreadyGroup {
	existing := map[int32]snapshot.Group{}
	for _, group := range in.Set.Groups {
		existing[group.Index] = group
	}
	var unready []leaderworkersetv1.UnreadyGroup
	for index := range withRefusedSurge(in, replicas) {
		if len(unready) == leaderworkersetv1.MaxUnreadyGroups {
			break
		}
		reason, message := why(in, index, existing)
		if reason == "" || (index >= replicas && blockedBy(in, index) == nil) {
			continue
		}
		entry := leaderworkersetv1.UnreadyGroup{
			Index: index, Reason: reason, Message: shortened(message, maxUnreadyMessage),
			Since: in.Now, Restarts: in.Crashes[index].Restarts,
		}
		before := slices.IndexFunc(in.Set.LWS.Status.UnreadyGroups, func(known leaderworkersetv1.UnreadyGroup) bool {
			return known.Index == index && known.Reason == reason
		})
		if before >= 0 {
			known := in.Set.LWS.Status.UnreadyGroups[before]
			entry.Since, entry.Message = known.Since, unlessSame(in, index, known.Message, entry.Message)
		}
		unready = append(unready, entry)
	}
	return unready
}

// why returns why a group isn't ready; no reason if it is.
func why(
	in Input, index int32, existing map[int32]snapshot.Group,
) (reason leaderworkersetv1.UnreadyReason, message string) {
	group, exists := existing[index]
	crashed := in.Crashes[index]
	blocked := blockedBy(in, index)
	switch {
	case !exists && blocked != nil:
		return leaderworkersetv1.UnreadyMissing, blocked.Message
	case !exists:
		return leaderworkersetv1.UnreadyMissing, "the leader pod doesn't exist"
	case group.Terminating():
		return leaderworkersetv1.UnreadyTerminating, "the leader pod is terminating"
	case crashed.Exhausted != "":
		return leaderworkersetv1.UnreadyFailed, crashed.Exhausted
	case crashed.Waiting != "":
		return leaderworkersetv1.UnreadyCrashed, crashed.Waiting
	case group.Ready():
		return "", ""
	case blocked != nil:
		return leaderworkersetv1.UnreadyBlocked, blocked.Message
	case snapshot.WaitsForPreviousGroup(group.Leader):
		return leaderworkersetv1.UnreadyPreviousGroup,
			"the leader pod waits for the pods of the group's previous incarnation to be gone"
	case snapshot.Unschedulable(group.Leader) != "":
		return leaderworkersetv1.UnreadyUnschedulable, snapshot.Unschedulable(group.Leader)
	case in.UnschedulableWorkers[index] != "":
		return leaderworkersetv1.UnreadyUnschedulable, in.UnschedulableWorkers[index]
	case !snapshot.PodReady(group.Leader):
		return leaderworkersetv1.UnreadyLeader, "the leader pod isn't ready"
	default:
		ready := int32(0)
		if group.Workers != nil {
			ready = min(group.Workers.Status.ReadyReplicas, ptr.Deref(group.Workers.Spec.Replicas, 1))
		}
		return leaderworkersetv1.UnreadyWorkers, fmt.Sprintf("%d of %d workers are ready", ready, group.Size()-1)
	}
}

// failedMessage names the groups that have no restarts left, the last error of the first of them, and what to do.
func failedMessage(in Input) string {
	var failed []int32
	for index, crashed := range in.Crashes {
		if crashed.Exhausted != "" {
			failed = append(failed, index)
		}
	}
	if len(failed) == 0 {
		return ""
	}
	slices.Sort(failed)
	first := in.Crashes[failed[0]]
	text := Groups(failed)
	leader := identity.Leader(in.Set.LWS.Name, failed[0])
	return fmt.Sprintf("%s: no restarts left after %d; %s. To try again, delete pod %s",
		strings.ToUpper(text[:1])+text[1:], first.Restarts, shortened(first.Exhausted, maxMessage/2), leader)
}
