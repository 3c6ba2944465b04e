// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Fault is what keeps pods of a group from being ready.
type Fault struct {
	Reason leaderworkersetv1.UnreadyReason

	// Pods are the names of the pods, by worker index.
	Pods []string

	// Text says what is wrong with them.
	Text string
}

// Faults are those that a pass over a group observed.
type Faults struct {
	// Leader is the UID of the leader pod of that group; empty if no pass observed the group.
	Leader types.UID

	// List has the faults in the order of faultOrder.
	List []Fault
}

// Equal reports whether two passes observed the same.
func (f Faults) Equal(other Faults) bool {
	return f.Leader == other.Leader && slices.EqualFunc(f.List, other.List, func(a, b Fault) bool {
		return a.Reason == b.Reason && a.Text == b.Text && slices.Equal(a.Pods, b.Pods)
	})
}

// Unschedulable returns why no node can take pods of the group; empty if there are no such pods.
func (f Faults) Unschedulable() string {
	for _, fault := range f.List {
		if fault.Reason == leaderworkersetv1.UnreadyUnschedulable {
			return fault.Text
		}
	}
	return ""
}

// faultOrder sorts faults by what is likely to be the cause of the others: first what others did to a pod, then what a
// pod waits for, from its creation to its start. A leader crashes if a worker is missing, and not the other way round.
var faultOrder = []leaderworkersetv1.UnreadyReason{
	leaderworkersetv1.UnreadyDisrupted,
	leaderworkersetv1.UnreadyGated,
	leaderworkersetv1.UnreadyUnschedulable,
	leaderworkersetv1.UnreadyImagePull,
	leaderworkersetv1.UnreadyCannotStart,
	leaderworkersetv1.UnreadyCrashLoop,
}

// IsFault reports whether a group isn't ready because of its pods.
func IsFault(reason leaderworkersetv1.UnreadyReason) bool { return slices.Contains(faultOrder, reason) }

// Faults returns what keeps pods of the present incarnation from being ready. Pods with the same fault share one entry.
// Pods that no node can take share one as well: the scheduler's words differ by the time at which it tried.
func (m *GroupMembers) Faults() Faults {
	if m.Leader == nil || m.Leader.DeletionTimestamp != nil {
		return Faults{}
	}
	faults, members := Faults{Leader: m.Leader.UID}, m.Members()
	for _, worker := range slices.Sorted(maps.Keys(members)) {
		pod := members[worker]
		reason, text := faultOf(pod)
		if reason == "" {
			continue
		}
		same := slices.IndexFunc(faults.List, func(fault Fault) bool {
			return fault.Reason == reason && (fault.Text == text || reason == leaderworkersetv1.UnreadyUnschedulable)
		})
		if same < 0 {
			faults.List = append(faults.List, Fault{Reason: reason, Pods: []string{pod.Name}, Text: text})
		} else {
			faults.List[same].Pods = append(faults.List[same].Pods, pod.Name)
		}
	}
	slices.SortStableFunc(faults.List, func(a, b Fault) int {
		return cmp.Compare(slices.Index(faultOrder, a.Reason), slices.Index(faultOrder, b.Reason))
	})
	return faults
}

// faultOf returns what keeps a pod from being ready, as far as the cache knows: the cache keeps no fault of a pod that
// is ready. The reason is empty if there is none.
func faultOf(pod *corev1.Pod) (reason leaderworkersetv1.UnreadyReason, text string) {
	if disruption := conditionOf(pod, corev1.DisruptionTarget); disruption != nil {
		return leaderworkersetv1.UnreadyDisrupted, explained(disruption.Reason, disruption.Message)
	}
	if pod.DeletionTimestamp != nil {
		return "", ""
	}
	if gates := ForeignGates(pod); len(gates) > 0 {
		return leaderworkersetv1.UnreadyGated, "waits for " + strings.Join(gates, ", ")
	}
	switch unscheduled := conditionOf(pod, corev1.PodScheduled); {
	case unscheduled == nil:
	case IsUnschedulable(unscheduled):
		return leaderworkersetv1.UnreadyUnschedulable, cmp.Or(unscheduled.Message, unscheduled.Reason)
	default: // The scheduler met an error.
		return leaderworkersetv1.UnreadyCannotStart, explained(unscheduled.Reason, unscheduled.Message)
	}
	return containerFault(pod)
}

// conditionOf returns a condition of a pod; nil if there is none.
func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// containerFault returns the fault of the first container that has one. Init containers come first: containers wait for
// them.
func containerFault(pod *corev1.Pod) (reason leaderworkersetv1.UnreadyReason, text string) {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if reason, text := faultOfContainer(&statuses[i]); reason != "" {
				return reason, text
			}
		}
	}
	return "", ""
}

// crashLoopBackOff is the reason that the kubelet gives for a container that waits to be started again.
const crashLoopBackOff = "CrashLoopBackOff"

func faultOfContainer(status *corev1.ContainerStatus) (reason leaderworkersetv1.UnreadyReason, text string) {
	waiting, ended := status.State.Waiting, lastEnd(status)
	switch {
	case status.Ready:
		return "", ""
	case ended != nil && (waiting == nil || waiting.Reason == crashLoopBackOff):
		return leaderworkersetv1.UnreadyCrashLoop, fmt.Sprintf("%s, %s", endOf(ended), restarts(status.RestartCount))
	case waiting == nil || waiting.Reason == crashLoopBackOff:
		return "", ""
	case isImagePull(waiting.Reason):
		return leaderworkersetv1.UnreadyImagePull, pullError(waiting)
	default:
		return leaderworkersetv1.UnreadyCannotStart, explained(waiting.Reason, waiting.Message)
	}
}

// lastEnd returns how a container last ended; nil if it hasn't ended yet.
func lastEnd(status *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	return cmp.Or(status.State.Terminated, status.LastTerminationState.Terminated)
}

// endOf returns how a container ended: "OOMKilled, exit code 137".
func endOf(ended *corev1.ContainerStateTerminated) string {
	return fmt.Sprintf("%s, exit code %d", cmp.Or(ended.Reason, "ended"), ended.ExitCode)
}

func restarts(count int32) string {
	if count == 1 {
		return "1 restart"
	}
	return fmt.Sprintf("%d restarts", count)
}

// imagePullReasons are the kubelet's, from k8s.io/kubernetes, package pkg/kubelet/images.
var imagePullReasons = []string{
	"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
	"RegistryUnavailable", "SignatureValidationFailed",
}

func isImagePull(reason string) bool { return slices.Contains(imagePullReasons, reason) }

// pullError returns why an image can't be pulled. The kubelet reports the error itself, and after that the same error
// as the cause of a back-off. Both give the same text: otherwise the status would change with each attempt.
func pullError(waiting *corev1.ContainerStateWaiting) string {
	const cause = "ErrImagePull: "
	if _, err, found := strings.Cut(waiting.Message, cause); found {
		return cause + err
	}
	if waiting.Reason == "ImagePullBackOff" {
		return explained("ErrImagePull", waiting.Message)
	}
	return explained(waiting.Reason, waiting.Message)
}

// explained returns a reason and its message.
func explained(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + ": " + message
}

// ForeignGates returns the scheduling gates of a pod that other controllers have to remove.
func ForeignGates(pod *corev1.Pod) []string {
	var names []string
	for _, gate := range pod.Spec.SchedulingGates {
		if !IsPreviousGroupGate(gate) && !IsRestartGate(gate) {
			names = append(names, gate.Name)
		}
	}
	return names
}

// maxKeptMessage bounds the messages of faults that the cache keeps, in bytes. Those of a scheduler and of a registry
// are a few hundred bytes long.
const maxKeptMessage = 512

// FaultConditions returns what Faults reads of a pod's conditions. Disruptions are kept of ready pods as well: such a
// pod is deleted soon.
func FaultConditions(pod *corev1.Pod) []corev1.PodCondition {
	var kept []corev1.PodCondition
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		disrupted := condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue
		// The scheduling gates say the same in more detail.
		unscheduled := condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse &&
			condition.Reason != corev1.PodReasonSchedulingGated
		if disrupted || unscheduled {
			kept = append(kept, corev1.PodCondition{
				Type: condition.Type, Status: condition.Status,
				Reason: condition.Reason, Message: bounded(condition.Message),
			})
		}
	}
	return kept
}

// FaultStatuses returns what Faults and passes over restarts read of the containers of a pod: why those of an unready
// pod wait or how they have just ended, and of those that have restarted the number of restarts and the last end.
func FaultStatuses(statuses []corev1.ContainerStatus, ready bool) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus
	for i := range statuses {
		status := &statuses[i]
		trimmed := corev1.ContainerStatus{Name: status.Name, RestartCount: status.RestartCount, Ready: status.Ready}
		if !ready && keepsWaiting(status) {
			trimmed.State.Waiting = &corev1.ContainerStateWaiting{
				Reason: status.State.Waiting.Reason, Message: bounded(status.State.Waiting.Message),
			}
		}
		if !ready && hasDied(status) {
			trimmed.State.Terminated = trimmedEnd(status.State.Terminated)
		}
		if status.RestartCount > 0 {
			trimmed.LastTerminationState.Terminated = trimmedEnd(status.LastTerminationState.Terminated)
		}
		if status.RestartCount > 0 || trimmed.State != (corev1.ContainerState{}) {
			kept = append(kept, trimmed)
		}
	}
	return kept
}

// trimmedEnd keeps why and when a container ended.
func trimmedEnd(ended *corev1.ContainerStateTerminated) *corev1.ContainerStateTerminated {
	if ended == nil {
		return nil
	}
	return &corev1.ContainerStateTerminated{
		ExitCode: ended.ExitCode, Reason: ended.Reason, FinishedAt: ended.FinishedAt,
	}
}

// keepsWaiting reports whether a container waits for something other than its turn: each container waits for a time
// while its pod starts.
func keepsWaiting(status *corev1.ContainerStatus) bool {
	waiting := status.State.Waiting
	return waiting != nil && waiting.Reason != "" &&
		waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing"
}

// hasDied reports whether a container has ended with an error and hasn't been started again yet.
func hasDied(status *corev1.ContainerStatus) bool {
	return status.State.Terminated != nil && status.State.Terminated.ExitCode != 0
}

// bounded returns the beginning of a message.
func bounded(message string) string {
	if len(message) <= maxKeptMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxKeptMessage], "") + "…"
}
