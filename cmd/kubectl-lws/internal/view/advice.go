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
	lines := s.reasonAdvice(group)
	if s.isFromRollout(group) {
		lines = append(lines, "The fault came with the current revision: "+s.Command("kubectl lws rollout undo "+s.LWS.Name))
	}
	if command := s.command(group); command != "" {
		lines = append(lines, s.Command(command))
	}
	return lines
}

// reasonAdvice returns the sentences for the reason of a group, as docs/operate/troubleshooting.md has them.
func (s *Set) reasonAdvice(group *Group) []string {
	switch group.Reason {
	case leaderworkersetv1.UnreadyUnschedulable:
		requests := s.requests(group)
		advice := []string{"Add nodes, or ask for less."}
		if requests != "" {
			advice[0] = "Add nodes, or ask for less: each of these pods requests " + requests + "."
		}
		if domain := s.LWS.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]; domain != "" {
			advice = append(advice,
				"The placement is exclusive: each group needs a value of the node label "+domain+" for itself.")
		}
		if domain := s.LWS.Annotations[leaderworkersetv1.ShareTopologyAnnotationKey]; domain != "" {
			advice = append(advice, "All pods of a group have to fit on nodes with the same value of the node label "+domain+".")
		}
		return advice
	case leaderworkersetv1.UnreadyImagePull:
		return []string{"Correct the image's name, or the pull secret. A rollout replaces broken groups first."}
	case leaderworkersetv1.UnreadyCannotStart:
		return []string{"Create what the container needs and doesn't find, or correct its name."}
	case leaderworkersetv1.UnreadyCrashLoop, leaderworkersetv1.UnreadyCrashed:
		if strings.Contains(group.Message, "OOMKilled") {
			return []string{"The container used more memory than its limit: raise the limit, or find what takes the memory."}
		}
		return []string{"Read what the container logged last."}
	case leaderworkersetv1.UnreadyDegraded:
		return []string{"Repair the cause. Then let the group try again:"}
	case leaderworkersetv1.UnreadyBlocked, leaderworkersetv1.UnreadyMissing:
		if strings.Contains(group.Message, "exceeded quota") {
			return []string{
				"Raise the quota, or ask for less. The operator tries again once a minute, and when pods are deleted.",
			}
		}
		if strings.Contains(group.Message, "failed calling webhook") {
			return []string{"The API server can't reach a webhook. Look whether its pods run."}
		}
		return []string{"Do what the message asks for: change the pod for a policy, or remove what is in the way."}
	case leaderworkersetv1.UnreadyGated:
		return []string{"Look at the controller that owns the gate: it removes the gate once the pods may run."}
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
	pod := ""
	if len(group.Faults) > 0 {
		pod = group.Faults[0].Pods[0]
	}
	switch group.Reason {
	case leaderworkersetv1.UnreadyDegraded:
		return fmt.Sprintf("kubectl lws restart %s %d", s.LWS.Name, group.Index)
	case leaderworkersetv1.UnreadyCrashLoop:
		return fmt.Sprintf("kubectl logs %s --previous", pod)
	case leaderworkersetv1.UnreadyCrashed, leaderworkersetv1.UnreadyLeader, leaderworkersetv1.UnreadyWorkers:
		return fmt.Sprintf("kubectl lws logs %s -g %d", s.LWS.Name, group.Index)
	case leaderworkersetv1.UnreadyMissing, leaderworkersetv1.UnreadyBlocked:
		if strings.Contains(group.Message, "failed calling webhook") {
			return "kubectl lws check"
		}
		if strings.Contains(group.Message, "exceeded quota") {
			return "kubectl describe resourcequota"
		}
		return fmt.Sprintf("kubectl describe lws %s", s.LWS.Name)
	case leaderworkersetv1.UnreadyGated:
		if strings.Contains(group.Message, "kueue.x-k8s.io") {
			return "kubectl get workloads.kueue.x-k8s.io"
		}
		return fmt.Sprintf("kubectl describe pod %s", pod)
	case leaderworkersetv1.UnreadyUnschedulable, leaderworkersetv1.UnreadyImagePull, leaderworkersetv1.UnreadyCannotStart,
		leaderworkersetv1.UnreadyDisrupted:
		if pod != "" {
			return fmt.Sprintf("kubectl describe pod %s", pod)
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
