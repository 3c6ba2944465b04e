// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// groupOf returns a group of 4 that has just been created.
func groupOf() *snapshot.GroupMembers {
	leader := &corev1.Pod{ObjectMeta: named("llama-1", "leader", "leaders")}
	leader.Annotations = map[string]string{leaderworkersetv1.SizeAnnotationKey: "4"}
	workers := &appsv1.StatefulSet{ObjectMeta: named("llama-1", "workers", "leader")}
	m := &snapshot.GroupMembers{Leader: leader, Workers: workers}
	for worker := range 3 {
		name := fmt.Sprintf("llama-1-%d", worker+1)
		m.WorkerPods = append(m.WorkerPods, &corev1.Pod{ObjectMeta: named(name, name, "workers")})
	}
	return m
}

// unschedulableSince is since when no node can take a pod.
var unschedulableSince = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func unschedulable(pod *corev1.Pod, message string) {
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
		LastTransitionTime: metav1.NewTime(unschedulableSince),
	})
}

func gated(pod *corev1.Pod, gates ...string) {
	for _, gate := range gates {
		pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: gate})
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
	})
}

func waiting(pod *corev1.Pod, reason, message string) {
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	})
}

// crashed gives a pod a container that has ended and runs again, unless waits is a reason to wait.
func crashed(pod *corev1.Pod, waits, reason string, code, restarts int32) {
	status := corev1.ContainerStatus{
		Name: "main", RestartCount: restarts,
		LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code},
		},
	}
	if waits != "" {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: waits, Message: "back-off 20s restarting"}
	}
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, status)
}

// TestFaults reads pods as the cache keeps them.
func TestFaults(t *testing.T) {
	const backOff = `Back-off pulling image "serve:typo": `
	for _, tc := range []struct {
		name   string
		change func(leader *corev1.Pod, workers []*corev1.Pod)
		want   []string
	}{
		{"none", func(*corev1.Pod, []*corev1.Pod) {}, nil},
		{"no node for two workers, in other words", func(_ *corev1.Pod, workers []*corev1.Pod) {
			unschedulable(workers[2], "0/25 nodes are available")
			unschedulable(workers[1], "0/24 nodes are available")
		}, []string{"Unschedulable [llama-1-2 llama-1-3] 0/24 nodes are available"}},
		{"no node, and no pod to preempt", func(_ *corev1.Pod, workers []*corev1.Pod) {
			unschedulable(workers[0], "0/24 nodes are available: 24 Insufficient cpu. preemption: 0/24 nodes are available: "+
				"24 No preemption victims found for incoming pod.")
		}, []string{"Unschedulable [llama-1-1] 0/24 nodes are available: 24 Insufficient cpu."}},
		{"the scheduler failed", func(leader *corev1.Pod, _ []*corev1.Pod) {
			leader.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: corev1.PodReasonSchedulerError, Message: "no such volume",
			}}
		}, []string{"CannotStart [llama-1] SchedulerError: no such volume"}},
		{"gated by two controllers", func(leader *corev1.Pod, workers []*corev1.Pod) {
			gated(leader, "kueue.x-k8s.io/admission", "example.com/quota")
			gated(workers[0], "kueue.x-k8s.io/admission")
		}, []string{
			"Gated [llama-1] waits for kueue.x-k8s.io/admission, example.com/quota",
			"Gated [llama-1-1] waits for kueue.x-k8s.io/admission",
		}},
		{"gated by the operator alone", func(leader *corev1.Pod, _ []*corev1.Pod) {
			gated(leader, leaderworkersetv1.PreviousGroupSchedulingGate)
		}, nil},
		{"an image that can't be pulled, at both stages", func(leader *corev1.Pod, workers []*corev1.Pod) {
			waiting(leader, "ErrImagePull", "serve:typo: not found")
			waiting(workers[0], "ImagePullBackOff", backOff+"ErrImagePull: serve:typo: not found")
		}, []string{"ImagePull [llama-1 llama-1-1] ErrImagePull: serve:typo: not found"}},
		{"an error of the container runtime, at both stages", func(leader *corev1.Pod, workers []*corev1.Pod) {
			const said = "rpc error: code = NotFound desc = failed to pull image: serve:typo: not found"
			waiting(leader, "ErrImagePull", said)
			waiting(workers[0], "ImagePullBackOff", backOff+"ErrImagePull: "+said)
		}, []string{"ImagePull [llama-1 llama-1-1] ErrImagePull: failed to pull image: serve:typo: not found"}},
		{"a back-off without its cause", func(leader *corev1.Pod, _ []*corev1.Pod) {
			waiting(leader, "ImagePullBackOff", "Back-off pulling image")
		}, []string{"ImagePull [llama-1] ErrImagePull: Back-off pulling image"}},
		{"a name that is none", func(leader *corev1.Pod, _ []*corev1.Pod) {
			waiting(leader, "InvalidImageName", "couldn't parse image name")
		}, []string{"ImagePull [llama-1] InvalidImageName: couldn't parse image name"}},
		{"a missing ConfigMap", func(_ *corev1.Pod, workers []*corev1.Pod) {
			waiting(workers[0], "CreateContainerConfigError", `configmap "model" not found`)
		}, []string{`CannotStart [llama-1-1] CreateContainerConfigError: configmap "model" not found`}},
		{"pods that are starting", func(leader *corev1.Pod, workers []*corev1.Pod) {
			waiting(leader, "ContainerCreating", "")
			waiting(workers[0], "PodInitializing", "")
		}, nil},
		{"a crash loop, at both stages", func(leader *corev1.Pod, workers []*corev1.Pod) {
			crashed(workers[1], "CrashLoopBackOff", "OOMKilled", 137, 4)
			crashed(workers[2], "", "Error", 1, 1)
			crashed(leader, "", "", 0, 2)
		}, []string{
			"CrashLoop [llama-1] ended, exit code 0, 2 restarts",
			"CrashLoop [llama-1-2] OOMKilled, exit code 137, 4 restarts",
			"CrashLoop [llama-1-3] Error, exit code 1, 1 restart",
		}},
		{"a container that has just ended", func(leader *corev1.Pod, _ []*corev1.Pod) {
			leader.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 2},
			}}}
		}, []string{"CrashLoop [llama-1] Error, exit code 2, 0 restarts"}},
		{"an init container that has done its work", func(leader *corev1.Pod, _ []*corev1.Pod) {
			leader.Status.InitContainerStatuses = []corev1.ContainerStatus{{
				Ready: true, RestartCount: 1, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}},
			}}
		}, nil},
		{"a container that is ready again", func(_ *corev1.Pod, workers []*corev1.Pod) {
			crashed(workers[0], "", "OOMKilled", 137, 1)
			workers[0].Status.ContainerStatuses[0].Ready = true
		}, nil},
		{"the cause comes first: a leader crashes that misses a worker", func(leader *corev1.Pod, workers []*corev1.Pod) {
			crashed(leader, "CrashLoopBackOff", "Error", 1, 3)
			unschedulable(workers[0], "0/24 nodes are available")
		}, []string{
			"Unschedulable [llama-1-1] 0/24 nodes are available", "CrashLoop [llama-1] Error, exit code 1, 3 restarts",
		}},
		{"a preempted worker that terminates", func(_ *corev1.Pod, workers []*corev1.Pod) {
			workers[0].DeletionTimestamp = &metav1.Time{}
			workers[0].Status.Conditions = []corev1.PodCondition{{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", Message: "for a pod",
			}}
			workers[1].DeletionTimestamp = &metav1.Time{}
			unschedulable(workers[1], "0/24 nodes are available")
		}, []string{"Disrupted [llama-1-1] PreemptionByScheduler: for a pod"}},
		{"a pod of an earlier incarnation", func(_ *corev1.Pod, workers []*corev1.Pod) {
			workers[0].OwnerReferences[0].UID = "earlier"
			unschedulable(workers[0], "0/24 nodes are available")
		}, nil},
		{"a leader that terminates", func(leader *corev1.Pod, workers []*corev1.Pod) {
			leader.DeletionTimestamp = &metav1.Time{}
			unschedulable(workers[0], "0/24 nodes are available")
		}, nil},
	} {
		m := groupOf()
		tc.change(m.Leader, m.WorkerPods)
		for _, pod := range append(m.WorkerPods, m.Leader) {
			pod.Status.Conditions = snapshot.FaultConditions(pod)
			pod.Status.ContainerStatuses = snapshot.FaultStatuses(pod.Status.ContainerStatuses, false)
			pod.Status.InitContainerStatuses = snapshot.FaultStatuses(pod.Status.InitContainerStatuses, false)
		}
		var got []string
		for _, fault := range m.Faults() {
			got = append(got, fmt.Sprintf("%s %v %s", fault.Reason, fault.Pods, fault.Text))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestObservations checks that observations are compared by what they say, and which of them say that room is lacking.
func TestObservations(t *testing.T) {
	m := groupOf()
	none := m.Observation("")
	refused := m.Observation("exceeded quota")
	unschedulable(m.WorkerPods[0], "0/24 nodes are available")
	one := m.Observation("")
	queued := m.Leader.DeepCopy()
	queued.CreationTimestamp = metav1.NewTime(unschedulableSince)
	queued.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/queue"}}
	waiting := queued.DeepCopy()
	waiting.Spec.SchedulingGates = append(waiting.Spec.SchedulingGates,
		corev1.PodSchedulingGate{Name: leaderworkersetv1.RestartSchedulingGate})
	if none.Equal(one) || none.Equal(refused) || !one.Equal(m.Observation("")) {
		t.Error("observations aren't compared by what they say")
	}
	if none.Equal(snapshot.Observation{}) {
		t.Error("an observed group without faults equals one that wasn't observed")
	}
	const second = time.Second
	for _, tc := range []struct {
		leader      *corev1.Pod
		observed    *snapshot.Observation
		after       time.Duration
		lacksRoom   bool
		confirmedIn time.Duration
	}{
		{m.Leader, nil, 0, false, 0}, {m.Leader, &none, 0, false, 0}, {m.Leader, &refused, 0, true, 0},
		{m.Leader, &one, 0, false, 5 * second}, {m.Leader, &one, 2 * second, false, 3 * second},
		{m.Leader, &one, 5 * second, true, 0},
		{m.Leader, &one, -second, true, 0}, // The clock of the scheduler's machine is ahead.
		{queued, nil, 2 * second, false, 3 * second}, {queued, &none, 5 * second, true, 0},
		{waiting, nil, 5 * second, false, 0}, // The operator itself gates it.
	} {
		group := snapshot.Group{Leader: tc.leader, Observed: tc.observed}
		lacksRoom, confirmedIn := group.LacksRoom(unschedulableSince.Add(tc.after), 5*second)
		if lacksRoom != tc.lacksRoom || confirmedIn != tc.confirmedIn {
			t.Errorf("%+v after %s: lacks room is %t, want %t; confirmed in %s, want %s",
				tc.observed, tc.after, lacksRoom, tc.lacksRoom, confirmedIn, tc.confirmedIn)
		}
	}
}

// TestKeptMessagesAreBounded checks that long messages cost the cache no more than half a kilobyte.
func TestKeptMessagesAreBounded(t *testing.T) {
	pod := &corev1.Pod{}
	unschedulable(pod, strings.Repeat("ü", 2000))
	waiting(pod, "ErrImagePull", strings.Repeat("ü", 2000))
	condition := snapshot.FaultConditions(pod)[0].Message
	status := snapshot.FaultStatuses(pod.Status.ContainerStatuses, false)[0].State.Waiting.Message
	for _, message := range []string{condition, status} {
		if len(message) > 520 || !strings.HasSuffix(message, "ü…") {
			t.Errorf("kept %d bytes", len(message))
		}
	}
}
