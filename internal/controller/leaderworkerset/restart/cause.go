// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Cause says in one word why a group is restarted.
type Cause string

const (
	// ContainerRestart means that a container or init container ended, and the kubelet started it again.
	ContainerRestart Cause = "ContainerRestart"

	// PodFailed means that a pod is in phase Failed, and no disruption explains that.
	PodFailed Cause = "PodFailed"

	// PodDeleted means that somebody deleted a worker.
	PodDeleted Cause = "PodDeleted"

	// LeaderDeleted means that somebody deleted the leader, or asked for the group to recover.
	LeaderDeleted Cause = "LeaderDeleted"

	// Evicted means that the eviction API or the kubelet evicted a pod.
	Evicted Cause = "Evicted"

	// Preempted means that a pod gave way to one of a higher priority.
	Preempted Cause = "Preempted"

	// TaintManager means that a pod was deleted because of a taint on its node.
	TaintManager Cause = "TaintManager"

	// PodGC means that the pod garbage collector deleted a pod, as that of a node that is gone.
	PodGC Cause = "PodGC"

	// NodeShutdown means that the kubelet stopped a pod because its node shuts down.
	NodeShutdown Cause = "NodeShutdown"

	// WhileAway means that the group changed while no operator ran.
	WhileAway Cause = "WhileAway"

	// Uninjected means that a pod was created without the webhook.
	Uninjected Cause = "Uninjected"
)

// Causes are all causes.
func Causes() []Cause {
	return []Cause{
		ContainerRestart, PodFailed, PodDeleted, LeaderDeleted, Evicted, Preempted, TaintManager, PodGC, NodeShutdown,
		WhileAway, Uninjected,
	}
}

// Failure is why a group has to be restarted. The zero value is none.
type Failure struct {
	Cause Cause

	// Message names the pod and says what happened to it: "llama-1-2: container main OOMKilled, exit code 137".
	Message string

	// Crashed reports that a container ended or a pod failed. Crashes are delayed and bounded. It is false for a pod that
	// somebody deleted.
	Crashed bool
}

// IsCrash reports whether the workload itself failed. The kubelet may fail a pod for a reason of the node's: such a
// failure counts as a crash, but its cause is a disruption.
func (c Cause) IsCrash() bool { return c == ContainerRestart || c == PodFailed }

// disruptions are the causes that a pod's condition DisruptionTarget gives, by its reason. The condition of the kubelet
// has one reason for several causes, see kubeletDisruptions.
var disruptions = map[string]Cause{
	corev1.PodReasonPreemptionByScheduler: Preempted,
	"DeletionByTaintManager":              TaintManager,
	"EvictionByEvictionAPI":               Evicted,
	"DeletionByPodGC":                     PodGC,
	corev1.PodReasonTerminationByKubelet:  NodeShutdown,
}

// kubeletDisruptions are the causes that the status reason of a pod gives. The kubelet sets it when it stops the pod.
var kubeletDisruptions = map[string]Cause{
	"Evicted":      Evicted,
	"Preempting":   Preempted,
	"Terminated":   NodeShutdown,
	"NodeShutdown": NodeShutdown,
}

// disruptionOf returns the cause if somebody or something disrupts the pod; empty if nobody says so.
func disruptionOf(pod *corev1.Pod) Cause {
	if cause := kubeletDisruptions[pod.Status.Reason]; cause != "" {
		return cause
	}
	target := snapshot.ConditionOf(pod, corev1.DisruptionTarget)
	if target == nil || target.Status != corev1.ConditionTrue {
		return ""
	}
	return disruptions[target.Reason]
}

// deletion returns the failure of a pod that was deleted. what says so in words. disruption is the cause that was
// observed of the pod before; empty if there was none.
func deletion(what string, disruption, otherwise Cause) Failure {
	if disruption == "" {
		return Failure{Cause: otherwise, Message: what}
	}
	return Failure{Cause: disruption, Message: fmt.Sprintf("%s: %s", what, disruption)}
}

// podFailure returns the failure of a pod in phase Failed: "llama-1-2: Evicted, container main Error, exit code 137".
func podFailure(pod *corev1.Pod) Failure {
	why := pod.Status.Reason
	if ended := lastEnded(pod, endedForGood); ended != "" {
		if why != "" {
			why += ", "
		}
		why += ended
	}
	return Failure{
		Cause:   cmp.Or(disruptionOf(pod), PodFailed),
		Message: pod.Name + ": " + cmp.Or(why, "the pod failed"),
		Crashed: true,
	}
}

// containerRestart returns the failure of a pod with a container that restarted.
func containerRestart(pod *corev1.Pod) Failure {
	why := cmp.Or(lastEnded(pod, endedBefore), "a container restarted")
	return Failure{Cause: ContainerRestart, Message: pod.Name + ": " + why, Crashed: true}
}

// endedForGood returns how a container ended, if it failed and doesn't start again.
func endedForGood(status *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
		return ended
	}
	return nil
}

// endedBefore returns how a container ended that has started again since.
func endedBefore(status *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if status.RestartCount == 0 {
		return nil
	}
	return status.LastTerminationState.Terminated
}

// lastEnded returns how the container or init container ended that ended last: "container main OOMKilled, exit code
// 137". end returns the end of those that count. lastEnded returns "" if there are none.
func lastEnded(pod *corev1.Pod, end func(*corev1.ContainerStatus) *corev1.ContainerStateTerminated) string {
	var name string
	var last *corev1.ContainerStateTerminated
	for status := range snapshot.ContainerStatuses(pod) {
		ended := end(status)
		if ended != nil && (last == nil || last.FinishedAt.Before(&ended.FinishedAt)) {
			name, last = status.Name, ended
		}
	}
	if last == nil {
		return ""
	}
	return fmt.Sprintf("container %s %s", name, snapshot.HowEnded(last))
}
