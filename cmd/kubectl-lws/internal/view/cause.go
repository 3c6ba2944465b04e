// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Cause is one link of the chain of causes: what is so, and because of what.
type Cause struct {
	// What names an object and its state.
	What string

	// Words are what somebody else says of it: the scheduler, the kubelet, the API server.
	Words []string

	// Because are the causes of it.
	Because []Cause
}

// Explanation is why a group, or a set, isn't ready.
type Explanation struct {
	Cause Cause

	// Advice is what to do.
	Advice []string

	// Ended is the container whose last words say more; nil if there is none.
	Ended *Ended
}

// Ended is a container that has ended.
type Ended struct {
	Pod, Container string

	// Previous says that the container was started again since.
	Previous bool
}

// maxPodsExplained bounds how many pods of a group an explanation goes into. The others have the same faults mostly.
const maxPodsExplained = 4

// Explain returns why a group isn't ready. Of a group that is ready, it says so.
func (s *Set) Explain(group *Group) Explanation {
	what := fmt.Sprintf("group %d", group.Index)
	if group.IsSurge {
		what += " (surge)"
	}
	state := string(group.Reason)
	if group.Reason == "" {
		state = "Ready"
	}
	what += fmt.Sprintf(": %s, %d of %d pods ready", state, group.ReadyPods(), len(group.Pods))
	cause := Cause{What: what}
	if group.Restarts > 0 {
		cause.What += ", restarted " + times(group.Restarts)
	}
	if group.Reason == "" {
		return Explanation{Cause: cause}
	}
	cause.Because = s.podCauses(group)
	if len(cause.Because) == 0 || !saysFault(group.Reason) {
		cause.Words = append(cause.Words, group.Message)
	}
	cause.Because = append(cause.Because, s.blockers(group)...)
	return Explanation{Cause: cause, Advice: s.advice(group), Ended: group.ended()}
}

// saysFault reports whether the causes below a group say all that its message says.
func saysFault(reason leaderworkersetv1.UnreadyReason) bool {
	return snapshot.IsFault(reason) || reason == leaderworkersetv1.UnreadyLeader ||
		reason == leaderworkersetv1.UnreadyWorkers
}

func times(count int32) string {
	if count == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", count)
}

// ReadyPods returns how many pods of the group are ready.
func (g *Group) ReadyPods() int {
	ready := 0
	for _, pod := range g.Pods {
		if pod != nil && snapshot.PodReady(pod) && pod.DeletionTimestamp == nil {
			ready++
		}
	}
	return ready
}

// podCauses returns what keeps the pods of a group from being ready: first the faults, then the pods that are unready
// without one, and those that don't exist.
func (s *Set) podCauses(group *Group) []Cause {
	var causes []Cause
	explained := map[string]bool{}
	for _, fault := range group.Faults {
		cause := Cause{What: names(fault.Pods) + ": " + string(fault.Reason), Words: []string{fault.Text}}
		for _, name := range fault.Pods[:min(len(fault.Pods), maxPodsExplained)] {
			cause.Because = append(cause.Because, s.podWords(group.pod(name), fault.Text)...)
		}
		for _, name := range fault.Pods {
			explained[name] = true
		}
		causes = append(causes, cause)
	}
	var missing []string
	for worker, pod := range group.Pods {
		switch {
		case pod == nil && group.Leader != nil:
			missing = append(missing, identity.Worker(group.Leader.Name, int32(worker)))
		case pod == nil || explained[pod.Name] || (snapshot.PodReady(pod) && pod.DeletionTimestamp == nil):
		case len(causes) < maxPodsExplained:
			causes = append(causes, Cause{What: pod.Name + ": " + podState(pod), Because: s.podWords(pod, "")})
		}
	}
	if len(missing) > 0 {
		causes = append(causes, Cause{What: names(missing) + ": not created yet", Words: s.whyNotCreated(group)})
	}
	return causes
}

// whyNotCreated returns why workers don't exist.
func (s *Set) whyNotCreated(group *Group) []string {
	waitsForLeader := s.LWS.Spec.StartupPolicy == leaderworkersetv1.LeaderReadyStartupPolicy
	switch {
	case group.Workers == nil && waitsForLeader && !snapshot.PodReady(group.Leader):
		return []string{"startupPolicy LeaderReady: workers are created once the leader is ready"}
	case group.Workers == nil && group.Leader.DeletionTimestamp == nil:
		return []string{fmt.Sprintf("StatefulSet %s, which creates them, doesn't exist", group.Leader.Name)}
	case group.Workers != nil:
		if refusal := s.refusal(group.Workers); refusal != "" && refusal != group.Message {
			return []string{refusal}
		}
	}
	return nil
}

// podState returns the state of a pod that has no fault and isn't ready.
func podState(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "terminating"
	case pod.Spec.NodeName == "" && len(pod.Spec.SchedulingGates) > 0:
		return "gated by " + gates(pod)
	case pod.Spec.NodeName == "":
		return "waits for the scheduler"
	case pod.Status.Phase == corev1.PodPending:
		return "starts on node " + pod.Spec.NodeName
	default:
		return strings.ToLower(string(pod.Status.Phase)) + " on node " + pod.Spec.NodeName + ", not ready"
	}
}

func gates(pod *corev1.Pod) string {
	var found []string
	for _, gate := range pod.Spec.SchedulingGates {
		found = append(found, gate.Name)
	}
	return strings.Join(found, ", ")
}

// podWords returns what the pod itself says: the words of containers that ended, and its latest warning. known has been
// said before.
func (s *Set) podWords(pod *corev1.Pod, known string) []Cause {
	if pod == nil {
		return nil
	}
	var causes []Cause
	for status := range snapshot.ContainerStatuses(pod) {
		ended := cmp.Or(status.State.Terminated, status.LastTerminationState.Terminated)
		if status.Ready || ended == nil || (ended.ExitCode == 0 && status.State.Terminated != nil && isInit(pod, status)) {
			continue
		}
		said := Cause{What: fmt.Sprintf("%s, container %s: %s", pod.Name, status.Name, snapshot.HowEnded(ended))}
		if message := strings.TrimSpace(ended.Message); message != "" {
			said.Words = []string{message}
		} else if strings.Contains(known, snapshot.HowEnded(ended)) {
			continue // The fault says the same.
		}
		causes = append(causes, said)
	}
	if pod.Status.Message != "" && !strings.Contains(known, pod.Status.Message) {
		causes = append(causes, Cause{What: pod.Name + ": " + pod.Status.Reason, Words: []string{pod.Status.Message}})
	}
	for _, event := range s.about(pod) {
		if event.Type != corev1.EventTypeWarning || strings.Contains(known, event.Message) || isKnownEvent(event.Reason) {
			continue
		}
		return append(causes, Cause{What: pod.Name + ", event " + event.Reason, Words: []string{event.Message}})
	}
	return causes
}

func isInit(pod *corev1.Pod, status *corev1.ContainerStatus) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == status.Name })
}

// isKnownEvent reports whether events of that reason say what the status of the pod says.
func isKnownEvent(reason string) bool {
	return reason == "FailedScheduling" || reason == "BackOff" || reason == "Failed"
}

// blockers returns what keeps the group as such: pods of the previous incarnation, a deferral.
func (s *Set) blockers(group *Group) []Cause {
	if len(group.Previous) == 0 || group.Reason != leaderworkersetv1.UnreadyPreviousGroup {
		return nil
	}
	var causes []Cause
	for _, pod := range group.Previous[:min(len(group.Previous), maxPodsExplained)] {
		cause := Cause{What: pod.Name + ": of the previous incarnation, on node " + cmp.Or(pod.Spec.NodeName, "<none>")}
		if pod.DeletionTimestamp != nil {
			cause.What += ", terminating"
		}
		if len(pod.Finalizers) > 0 {
			cause.Words = []string{"finalizers: " + strings.Join(pod.Finalizers, ", ")}
		}
		causes = append(causes, cause)
	}
	return causes
}

// ended returns the container whose log says why it ended; nil if there is none.
func (g *Group) ended() *Ended {
	for _, fault := range g.Faults {
		if fault.Reason != leaderworkersetv1.UnreadyCrashLoop {
			continue
		}
		pod := g.pod(fault.Pods[0])
		for status := range snapshot.ContainerStatuses(pod) {
			if !status.Ready && (status.State.Terminated != nil || status.LastTerminationState.Terminated != nil) {
				return &Ended{Pod: pod.Name, Container: status.Name, Previous: status.State.Terminated == nil}
			}
		}
	}
	return nil
}

func (g *Group) pod(name string) *corev1.Pod {
	for _, pod := range g.Pods {
		if pod != nil && pod.Name == name {
			return pod
		}
	}
	return nil
}

// names joins the names of pods, three at most.
func names(pods []string) string {
	const most = 3
	if len(pods) <= most {
		return strings.Join(pods, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(pods[:most], ", "), len(pods)-most)
}

// Devices returns what the pods of a template request besides CPU and memory, such as GPUs: "8 nvidia.com/gpu".
func Devices(template *corev1.PodTemplateSpec) string {
	total := corev1.ResourceList{}
	for _, container := range template.Spec.Containers {
		for name, quantity := range container.Resources.Requests {
			add(total, name, quantity)
		}
		for name, quantity := range container.Resources.Limits { // Devices may be limited only: that requests them.
			if _, requested := container.Resources.Requests[name]; !requested {
				add(total, name, quantity)
			}
		}
	}
	var devices []string
	for name, quantity := range total {
		if strings.Contains(string(name), "/") {
			devices = append(devices, quantity.String()+" "+string(name))
		}
	}
	slices.Sort(devices)
	return strings.Join(devices, ", ")
}

func add(total corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
	sum := total[name]
	sum.Add(quantity)
	total[name] = sum
}
