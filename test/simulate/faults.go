// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BadImage is an image that can't be pulled.
const BadImage = "registry.example.com/serve:typo"

// pullErrors are what a kubelet says of BadImage by turns: the error, and that it waits before another attempt.
var pullErrors = []corev1.ContainerStateWaiting{
	{Reason: "ErrImagePull", Message: pullError},
	{Reason: "ImagePullBackOff", Message: `Back-off pulling image "` + BadImage + `": ErrImagePull: ` + pullError},
}

const pullError = BadImage + ": not found"

// FailPull lets a kubelet report that it can't pull the image of a pod. attempt counts its reports.
func (w *World) FailPull(key types.NamespacedName, attempt int) {
	waiting := pullErrors[attempt%len(pullErrors)]
	w.changePod("can't pull the image of pod", key, func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "main", State: corev1.ContainerState{Waiting: &waiting},
		}}
	})
}

// CrashLoop lets a kubelet report that the container of a pod has ended for the lack of memory, and waits.
func (w *World) CrashLoop(key types.NamespacedName, restarts int32) {
	w.changePod(fmt.Sprintf("waits after %d restarts of the container of pod", restarts), key, func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "main", RestartCount: restarts,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %ds restarting failed container", 10*restarts),
			}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: "OOMKilled", ExitCode: 137,
			}},
		}}
	})
}

// Recover lets a kubelet report that the container of a pod runs.
func (w *World) Recover(key types.NamespacedName) {
	pod := getOf[*corev1.Pod](w.API, kindPod, key)
	w.record("kubelet", "has ready pod", pod.Name)
	update(w.API, pod, func(pod *corev1.Pod) {
		for i := range pod.Status.ContainerStatuses {
			pod.Status.ContainerStatuses[i].State.Waiting, pod.Status.ContainerStatuses[i].Ready = nil, true
		}
		w.setReady(pod, corev1.ConditionTrue)
	})
}

// Ungate removes a scheduling gate from all pods, as the controller that has set it.
func (w *World) Ungate(gate string) {
	w.User("removes the scheduling gate "+gate, func() error {
		for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
			update(w.API, pod, func(pod *corev1.Pod) {
				pod.Spec.SchedulingGates = slices.DeleteFunc(slices.Clone(pod.Spec.SchedulingGates),
					func(found corev1.PodSchedulingGate) bool { return found.Name == gate })
			})
		}
		return nil
	})
}
