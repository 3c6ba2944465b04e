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

// equal reports whether two faults say the same of the same pods.
func (f Fault) equal(other Fault) bool {
	return f.Reason == other.Reason && f.Text == other.Text && slices.Equal(f.Pods, other.Pods)
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
func (m *GroupMembers) Faults() []Fault {
	if m.Leader == nil || m.Leader.DeletionTimestamp != nil {
		return nil
	}
	var faults []Fault
	members := m.Members()
	for _, worker := range slices.Sorted(maps.Keys(members)) {
		pod := members[worker]
		reason, text := faultOf(pod)
		if reason == "" {
			continue
		}
		same := slices.IndexFunc(faults, func(fault Fault) bool {
			return fault.Reason == reason && (fault.Text == text || reason == leaderworkersetv1.UnreadyUnschedulable)
		})
		if same < 0 {
			faults = append(faults, Fault{Reason: reason, Pods: []string{pod.Name}, Text: text})
		} else {
			faults[same].Pods = append(faults[same].Pods, pod.Name)
		}
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Compare(slices.Index(faultOrder, a.Reason), slices.Index(faultOrder, b.Reason))
	})
	return faults
}

// faultOf returns what keeps a pod from being ready, as far as the cache knows: the cache keeps no fault of a pod that
// is ready. The reason is empty if there is none.
func faultOf(pod *corev1.Pod) (reason leaderworkersetv1.UnreadyReason, text string) {
	if disruption := ConditionOf(pod, corev1.DisruptionTarget); disruption != nil {
		return leaderworkersetv1.UnreadyDisrupted, explained(disruption.Reason, disruption.Message)
	}
	if pod.DeletionTimestamp != nil {
		return "", ""
	}
	if gates := ForeignGates(pod); len(gates) > 0 {
		return leaderworkersetv1.UnreadyGated, "waits for " + strings.Join(gates, ", ")
	}
	switch unscheduled := ConditionOf(pod, corev1.PodScheduled); {
	case unscheduled == nil:
	case isUnschedulable(unscheduled):
		return leaderworkersetv1.UnreadyUnschedulable, cmp.Or(whyUnschedulable(unscheduled.Message), unscheduled.Reason)
	default: // The scheduler met an error.
		return leaderworkersetv1.UnreadyCannotStart, explained(unscheduled.Reason, unscheduled.Message)
	}
	return containerFault(pod)
}

// whyUnschedulable returns what the scheduler says of the nodes. It goes on with what became of its attempt to preempt
// other pods: that names the same nodes again, and no cause.
func whyUnschedulable(message string) string {
	why, _, _ := strings.Cut(message, " preemption: ")
	return why
}

// containerFault returns the fault of the first container that has one. Init containers come first: containers wait for
// them.
func containerFault(pod *corev1.Pod) (reason leaderworkersetv1.UnreadyReason, text string) {
	for status := range ContainerStatuses(pod) {
		if reason, text := faultOfContainer(status); reason != "" {
			return reason, text
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
		return leaderworkersetv1.UnreadyCrashLoop, fmt.Sprintf("%s, %s", HowEnded(ended), restarts(status.RestartCount))
	case waiting == nil || waiting.Reason == crashLoopBackOff:
		return "", ""
	case isImagePull(waiting.Reason):
		return leaderworkersetv1.UnreadyImagePull, pullError(waiting)
	default:
		return leaderworkersetv1.UnreadyCannotStart, explained(waiting.Reason, withoutRPC(waiting.Message))
	}
}

// lastEnd returns how a container last ended; nil if it hasn't ended yet.
func lastEnd(status *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	return cmp.Or(status.State.Terminated, status.LastTerminationState.Terminated)
}

// HowEnded returns how a container ended: "OOMKilled, exit code 137".
func HowEnded(ended *corev1.ContainerStateTerminated) string {
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
		return cause + withoutRPC(err)
	}
	if waiting.Reason == "ImagePullBackOff" {
		return explained("ErrImagePull", waiting.Message)
	}
	return explained(waiting.Reason, withoutRPC(waiting.Message))
}

// withoutRPC returns an error of the container runtime without the code of the call that it answers: "rpc error: code =
// NotFound desc = …".
func withoutRPC(message string) string {
	if code, description, found := strings.Cut(message, " desc = "); found && strings.HasPrefix(code, "rpc error: ") {
		return description
	}
	return message
}

// explained returns a reason and its message.
func explained(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + ": " + message
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
				Type: condition.Type, Status: condition.Status, LastTransitionTime: condition.LastTransitionTime,
				Reason: condition.Reason, Message: Shortened(condition.Message, maxKeptMessage),
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
				Reason: status.State.Waiting.Reason, Message: Shortened(status.State.Waiting.Message, maxKeptMessage),
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

// Shortened returns the beginning of a message: at most limit bytes and an ellipsis.
func Shortened(message string, limit int) string {
	if len(message) <= limit {
		return message
	}
	return strings.ToValidUTF8(message[:limit], "") + "…"
}
