// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// maxUnreadyMessage bounds the message of an unready group, in bytes. The CRD takes 1024 characters.
const maxUnreadyMessage = 1000

// Unready returns all groups that aren't ready, lowest index first. The status lists the first of them. It is for the
// kubectl plugin, which shows all of them in the words of the status.
func Unready(in Input) []leaderworkersetv1.UnreadyGroup {
	return unreadyGroups(in, *in.Set.LWS.Spec.Replicas, math.MaxInt)
}

// unreadyGroups returns groups that aren't ready, lowest index first, limit at most. A group whose reason stays keeps
// its time.
func unreadyGroups(in Input, replicas int32, limit int) []leaderworkersetv1.UnreadyGroup {
	existing := map[int32]snapshot.Group{}
	for _, group := range in.Set.Groups {
		existing[group.Index] = group
	}
	var unready []leaderworkersetv1.UnreadyGroup
	for index := range withRefusedSurge(in, replicas) {
		if len(unready) == limit {
			break
		}
		before := entryOf(in.Set.LWS.Status.UnreadyGroups, index)
		reason, message := why(in, index, existing, before)
		if reason == "" || (index >= replicas && blockedBy(in, index) == nil) {
			continue
		}
		entry := leaderworkersetv1.UnreadyGroup{
			Index: index, Reason: reason, Message: snapshot.Shortened(message, maxUnreadyMessage),
			Since: in.Now, Restarts: in.Crashes[index].Restarts,
		}
		if before.Reason == reason {
			entry.Since, entry.Message = before.Since, unlessSame(in, index, before.Message, entry.Message)
		}
		unready = append(unready, entry)
	}
	return unready
}

// entryOf returns the entry of a group; an empty one if there is none.
func entryOf(unready []leaderworkersetv1.UnreadyGroup, index int32) leaderworkersetv1.UnreadyGroup {
	for _, entry := range unready {
		if entry.Index == index {
			return entry
		}
	}
	return leaderworkersetv1.UnreadyGroup{}
}

// why returns why a group isn't ready; no reason if it is. before is the group's entry in the present status.
func why(
	in Input, index int32, existing map[int32]snapshot.Group, before leaderworkersetv1.UnreadyGroup,
) (reason leaderworkersetv1.UnreadyReason, message string) {
	group, exists := existing[index]
	crashed := in.Crashes[index]
	blocked := blockedBy(in, index)
	switch {
	case !exists && slices.Contains(in.Release.Deferred, index):
		return leaderworkersetv1.UnreadyMissing,
			"there is no room for all groups at once: this one gets no pods until another one is ready, since surge has to " +
				"serve and keeps its room"
	case !exists && blocked != nil:
		return leaderworkersetv1.UnreadyMissing, blocked.Message
	case !exists:
		return leaderworkersetv1.UnreadyMissing, "the leader pod doesn't exist"
	case group.Terminating():
		return leaderworkersetv1.UnreadyTerminating, "the leader pod is terminating"
	case crashed.Exhausted != "":
		return leaderworkersetv1.UnreadyDegraded, crashed.Exhausted
	case crashed.Waiting != "":
		return leaderworkersetv1.UnreadyCrashed, crashed.Waiting
	case group.Ready():
		return "", ""
	case blocked != nil:
		return leaderworkersetv1.UnreadyBlocked, blocked.Message
	case snapshot.WaitsForPreviousGroup(group.Leader):
		return leaderworkersetv1.UnreadyPreviousGroup,
			"the leader pod waits for the pods of the group's previous incarnation to be gone"
	}
	if reason, message := faulty(group, before); reason != "" {
		return reason, message
	}
	if !snapshot.PodReady(group.Leader) {
		return leaderworkersetv1.UnreadyLeader, "the leader pod isn't ready"
	}
	workers := group.Size() - 1
	return leaderworkersetv1.UnreadyWorkers,
		fmt.Sprintf("%d of %d workers are ready", min(group.ReadyWorkers(), workers), workers)
}

// faulty returns what keeps pods of a group from being ready: the reason of the first fault, and the texts of all. An
// operator that has just started hasn't observed the group yet: then the status stays as it is.
func faulty(
	group snapshot.Group, before leaderworkersetv1.UnreadyGroup,
) (reason leaderworkersetv1.UnreadyReason, message string) {
	switch observed := group.Observed; {
	case observed == nil && snapshot.IsFault(before.Reason):
		return before.Reason, before.Message
	case observed == nil || len(observed.Faults) == 0:
		return "", ""
	default:
		return observed.Faults[0].Reason, faultMessage(observed.Faults)
	}
}

// maxNamedPods bounds how many pods a message names for one fault.
const maxNamedPods = 3

// podsEnd ends the names of pods in a message.
const podsEnd = ": "

// faultMessage says what is wrong with which pods: "llama-1-2, llama-1-3: 0/24 nodes are available".
func faultMessage(faults []snapshot.Fault) string {
	texts := make([]string, 0, len(faults))
	for _, fault := range faults {
		named := strings.Join(fault.Pods[:min(len(fault.Pods), maxNamedPods)], ", ")
		if more := len(fault.Pods) - maxNamedPods; more > 0 {
			named += fmt.Sprintf(" and %d more", more)
		}
		texts = append(texts, named+podsEnd+fault.Text)
	}
	return strings.Join(texts, "; ")
}

// DifferInTexts reports whether two statuses differ in nothing but the texts of unready groups: their reasons, and the
// pods that their messages name first, are the same.
func DifferInTexts(before, next *leaderworkersetv1.LeaderWorkerSetStatus) bool {
	if len(before.UnreadyGroups) != len(next.UnreadyGroups) {
		return false
	}
	same := *next
	same.UnreadyGroups = slices.Clone(next.UnreadyGroups)
	for i := range same.UnreadyGroups {
		known, entry := &before.UnreadyGroups[i], &same.UnreadyGroups[i]
		if podsOf(known.Message) == podsOf(entry.Message) {
			entry.Message = known.Message
		}
	}
	return !equality.Semantic.DeepEqual(before, next) && equality.Semantic.DeepEqual(before, &same)
}

// podsOf returns the pods that a message names first; empty if it names none.
func podsOf(message string) string {
	pods, _, found := strings.Cut(message, podsEnd)
	if !found {
		return ""
	}
	return pods
}
