// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// advice returns what to do about a group that isn't ready: sentences, and commands to look further.
func (s *Set) advice(group *Group) []string {
	lines := reasonAdvice(group.Reason, s.requests(group))
	if s.isFromRollout(group) {
		lines = append(lines, "The fault came with the current revision: kubectl lws rollout undo "+s.LWS.Name)
	}
	if command := s.command(group); command != "" {
		lines = append(lines, "Look further: "+command)
	}
	return lines
}

// reasonAdvice returns the sentences for a reason, as docs/troubleshooting.md has them.
func reasonAdvice(reason leaderworkersetv1.UnreadyReason, requests string) []string {
	switch reason {
	case leaderworkersetv1.UnreadyUnschedulable:
		if requests == "" {
			return []string{"Add nodes, or ask for less."}
		}
		return []string{"Add nodes, or ask for less: each of these pods requests " + requests + "."}
	case leaderworkersetv1.UnreadyImagePull:
		return []string{"Correct the image's name, or the pull secret. A rollout replaces broken groups first."}
	case leaderworkersetv1.UnreadyCannotStart:
		return []string{"Create what the container needs and doesn't find, or correct its name."}
	case leaderworkersetv1.UnreadyCrashLoop, leaderworkersetv1.UnreadyCrashed:
		return []string{"Read what the container logged last. Exit code 137 with OOMKilled: raise its memory limit."}
	case leaderworkersetv1.UnreadyDegraded:
		return []string{"Repair the cause. Then let the group try again: see the command."}
	case leaderworkersetv1.UnreadyBlocked, leaderworkersetv1.UnreadyMissing:
		return []string{"Do what the API server's message asks for: raise a quota, or change the pod for a policy."}
	case leaderworkersetv1.UnreadyGated:
		return []string{"Look at the controller that owns the gate. For Kueue: kubectl get workloads."}
	case leaderworkersetv1.UnreadyDisrupted:
		return []string{"Nothing, if it happens rarely: the group comes back on other nodes."}
	case leaderworkersetv1.UnreadyPreviousGroup:
		return []string{"Look at what keeps those pods: a lost node, a finalizer, a long grace period."}
	case leaderworkersetv1.UnreadyTerminating:
		return []string{"Nothing, unless it stays: then look at the leader's node and its finalizers."}
	case leaderworkersetv1.UnreadyLeader, leaderworkersetv1.UnreadyWorkers:
		return []string{"Wait while the pods start. If they stay unready, look at the readiness probe and at their logs."}
	}
	return nil
}

// command returns the command that shows most about a group.
func (s *Set) command(group *Group) string {
	in := "-n " + s.LWS.Namespace
	pod := ""
	if len(group.Faults) > 0 {
		pod = group.Faults[0].Pods[0]
	}
	switch group.Reason {
	case leaderworkersetv1.UnreadyDegraded:
		return fmt.Sprintf("kubectl lws restart %s %d %s", s.LWS.Name, group.Index, in)
	case leaderworkersetv1.UnreadyCrashLoop:
		return fmt.Sprintf("kubectl logs %s %s --previous", pod, in)
	case leaderworkersetv1.UnreadyCrashed, leaderworkersetv1.UnreadyLeader, leaderworkersetv1.UnreadyWorkers:
		return fmt.Sprintf("kubectl lws logs %s -g %d %s", s.LWS.Name, group.Index, in)
	case leaderworkersetv1.UnreadyMissing, leaderworkersetv1.UnreadyBlocked:
		return fmt.Sprintf("kubectl describe lws %s %s", s.LWS.Name, in)
	case leaderworkersetv1.UnreadyUnschedulable, leaderworkersetv1.UnreadyImagePull, leaderworkersetv1.UnreadyCannotStart,
		leaderworkersetv1.UnreadyGated, leaderworkersetv1.UnreadyDisrupted:
		if pod != "" {
			return fmt.Sprintf("kubectl describe pod %s %s", pod, in)
		}
	case leaderworkersetv1.UnreadyPreviousGroup, leaderworkersetv1.UnreadyTerminating:
	}
	return ""
}

// requests returns what the pods of the group's first fault request of devices, CPU and memory; empty if nothing.
func (s *Set) requests(group *Group) string {
	if len(group.Faults) == 0 {
		return ""
	}
	pod := group.pod(group.Faults[0].Pods[0])
	if pod == nil {
		return ""
	}
	var requests []string
	for _, container := range pod.Spec.Containers {
		for name, quantity := range container.Resources.Requests {
			requests = append(requests, quantity.String()+" "+string(name))
		}
	}
	return strings.Join(sorted(requests), ", ")
}

// isFromRollout reports whether the fault came with the current revision: the group is of it, and no group of it is
// ready, while there is an earlier revision to go back to.
func (s *Set) isFromRollout(group *Group) bool {
	switch group.Reason { //nolint:exhaustive // The others have no cause in a template.
	case leaderworkersetv1.UnreadyImagePull, leaderworkersetv1.UnreadyCannotStart, leaderworkersetv1.UnreadyCrashLoop,
		leaderworkersetv1.UnreadyCrashed, leaderworkersetv1.UnreadyDegraded:
	default:
		return false
	}
	if !s.IsCurrent(*group) || s.Current == nil || s.Before(0) == nil || s.Earlier() == "" {
		return false
	}
	key := revision.Key(s.Current)
	return len(s.where(func(g Group) bool { return g.IsReady && g.Revision == key })) == 0
}
