// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Next returns what the set waits for or does next, in a sentence, and a command to try; empty if there is none.
func (s *Set) Next() (sentence, command string) {
	name := s.LWS.Name
	state, unready := s.State(), s.waitsFor()
	exhausted := s.where(func(g Group) bool { return g.Reason == leaderworkersetv1.UnreadyDegraded })
	switch {
	case state == StateDeleting:
		return "the set is deleted once its finalizers are gone", ""
	case state == StateUnobserved:
		return "no controller has observed the set yet", "kubectl lws check"
	case len(exhausted) > 0:
		return status.Groups(Indices(exhausted)) + have(len(exhausted)) + " no restarts left",
			s.Command(fmt.Sprintf("kubectl lws why %s %d", name, exhausted[0].Index))
	case len(unready) > 0:
		return "waits for " + status.Groups(Indices(unready)),
			s.Command(fmt.Sprintf("kubectl lws why %s %d", name, unready[0].Index))
	case s.LWS.Status.ObservedGeneration < s.LWS.Generation:
		return "the controller hasn't observed the last change yet", "kubectl lws check"
	case len(s.ToUpdate()) > 0:
		return "replaces " + status.Groups([]int32{s.nextToUpdate()}), ""
	case len(s.Held()) > 0:
		return fmt.Sprintf("the partition, %d, holds %s", s.Partition, status.Groups(Indices(s.Held()))),
			s.Command("kubectl lws rollout resume " + name)
	case s.Holds(leaderworkersetv1.ConditionReplicaFailure):
		return "the API server refuses objects", s.Command("kubectl lws why " + name)
	default:
		return "", ""
	}
}

// Command returns a command with the namespace of the set, unless that is default.
func (s *Set) Command(command string) string {
	if s.LWS.Namespace == "" || s.LWS.Namespace == metav1.NamespaceDefault {
		return command
	}
	return command + " -n " + s.LWS.Namespace
}

// waitsFor returns the groups that aren't ready. Those that a rolling update has yet to replace come last.
func (s *Set) waitsFor() []Group {
	unready := s.where(func(g Group) bool { return g.Reason != "" && !g.IsReady && !g.IsSurge })
	slices.SortStableFunc(unready, func(a, b Group) int { return severity(a.Reason) - severity(b.Reason) })
	return unready
}

// severity sorts reasons: those that need help first, those that pass by themselves last.
func severity(reason leaderworkersetv1.UnreadyReason) int {
	if index := slices.Index(worstFirst, reason); index >= 0 {
		return index
	}
	return len(worstFirst)
}

var worstFirst = []leaderworkersetv1.UnreadyReason{
	leaderworkersetv1.UnreadyDegraded,
	leaderworkersetv1.UnreadyBlocked,
	leaderworkersetv1.UnreadyMissing,
	leaderworkersetv1.UnreadyImagePull,
	leaderworkersetv1.UnreadyCannotStart,
	leaderworkersetv1.UnreadyCrashLoop,
	leaderworkersetv1.UnreadyCrashed,
	leaderworkersetv1.UnreadyUnschedulable,
	leaderworkersetv1.UnreadyGated,
	leaderworkersetv1.UnreadyPreviousGroup,
	leaderworkersetv1.UnreadyDisrupted,
	leaderworkersetv1.UnreadyWorkers,
	leaderworkersetv1.UnreadyLeader,
	leaderworkersetv1.UnreadyTerminating,
}

// Worst returns the unready group of a status that needs help most; nil if there is none.
func Worst(lws *leaderworkersetv1.LeaderWorkerSet) *leaderworkersetv1.UnreadyGroup {
	var worst *leaderworkersetv1.UnreadyGroup
	for i := range lws.Status.UnreadyGroups {
		entry := &lws.Status.UnreadyGroups[i]
		if worst == nil || severity(entry.Reason) < severity(worst.Reason) {
			worst = entry
		}
	}
	return worst
}

// WorstFirst returns the groups that aren't ready, those that need help most first.
func (s *Set) WorstFirst() []Group {
	unready := s.Unready()
	slices.SortStableFunc(unready, func(a, b Group) int { return severity(a.Reason) - severity(b.Reason) })
	return unready
}

// nextToUpdate returns the index of the group that a rolling update replaces next: the highest one.
func (s *Set) nextToUpdate() int32 { return slices.Max(Indices(s.ToUpdate())) }

func have(groups int) string {
	if groups == 1 {
		return " has"
	}
	return " have"
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}
