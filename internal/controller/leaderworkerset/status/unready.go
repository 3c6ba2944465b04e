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

// longestMessage is how many bytes are quoted of why a group isn't ready. The CRD lets it have 1024 characters.
const longestMessage = 1000

// Crashes is what is known of a group that crashed.
type Crashes struct {
	// Restarts is how often in a row it was recreated for that.
	Restarts int32

	// Waiting is the last error of a group that waits to be recreated; empty for others.
	Waiting string

	// Failed is the last error of a group that has used up its restarts; empty for others.
	Failed string
}

// unreadyGroups lists groups that aren't ready, lowest index first. A group whose reason stays keeps its time.
func unreadyGroups(in Input, replicas int32) []leaderworkersetv1.UnreadyGroup {
	existing := map[int32]snapshot.Group{}
	for _, group := range in.Set.Groups {
		existing[group.Index] = group
	}
	var unready []leaderworkersetv1.UnreadyGroup
	for index := range replicas {
		if len(unready) == leaderworkersetv1.MaxUnreadyGroups {
			break
		}
		reason, message := why(in, index, existing)
		if reason == "" {
			continue
		}
		entry := leaderworkersetv1.UnreadyGroup{
			Index: index, Reason: reason, Message: shortened(message, longestMessage),
			Since: in.Now, Restarts: in.Crashes[index].Restarts,
		}
		before := slices.IndexFunc(in.Set.LWS.Status.UnreadyGroups, func(known leaderworkersetv1.UnreadyGroup) bool {
			return known.Index == index && known.Reason == reason
		})
		if before >= 0 {
			entry.Since = in.Set.LWS.Status.UnreadyGroups[before].Since
		}
		unready = append(unready, entry)
	}
	return unready
}

// why is why a group isn't ready; no reason if it is.
func why(in Input, index int32, existing map[int32]snapshot.Group) (reason leaderworkersetv1.UnreadyReason, message string) {
	group, exists := existing[index]
	crashed := in.Crashes[index]
	blocked := slices.IndexFunc(in.Failures, func(failure snapshot.Failure) bool { return failure.Group == index })
	switch {
	case !exists:
		return leaderworkersetv1.UnreadyMissing, "the leader pod doesn't exist"
	case group.Terminating():
		return leaderworkersetv1.UnreadyTerminating, "the leader pod is terminating"
	case crashed.Failed != "":
		return leaderworkersetv1.UnreadyFailed, crashed.Failed
	case crashed.Waiting != "":
		return leaderworkersetv1.UnreadyCrashed, crashed.Waiting
	case blocked >= 0:
		return leaderworkersetv1.UnreadyBlocked, in.Failures[blocked].Message
	case group.Ready():
		return "", ""
	case snapshot.WaitsForPreviousGroup(group.Leader):
		return leaderworkersetv1.UnreadyPreviousGroup, "the leader pod waits for the pods of the group's previous life to be gone"
	case snapshot.Unschedulable(group.Leader) != "":
		return leaderworkersetv1.UnreadyUnschedulable, snapshot.Unschedulable(group.Leader)
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

// failedMessage names the groups that have used up their restarts, the last error of the first of them, and what to do.
func failedMessage(in Input) string {
	var failed []int32
	for index, crashed := range in.Crashes {
		if crashed.Failed != "" {
			failed = append(failed, index)
		}
	}
	if len(failed) == 0 {
		return ""
	}
	slices.Sort(failed)
	first := in.Crashes[failed[0]]
	text := Groups(failed)
	return fmt.Sprintf("%s: no restarts left after %d; %s. To try again, delete pod %s",
		strings.ToUpper(text[:1])+text[1:], first.Restarts, shortened(first.Failed, maxMessage/2), identity.Leader(in.Set.LWS.Name, failed[0]))
}
