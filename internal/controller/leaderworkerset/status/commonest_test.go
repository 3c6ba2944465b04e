// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"fmt"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// commonest is where the integration tests read the statuses whose words docs/operate/troubleshooting.md shows.
const commonest = "../../../../test/integration/testdata/faults"

// The words of a scheduler, a kubelet with containerd, and an API server.
const (
	schedulerSaid = "0/24 nodes are available: 24 Insufficient nvidia.com/gpu. preemption: 0/24 nodes are available: " +
		"24 No preemption victims found for incoming pod."
	kubeletSaid = `Back-off pulling image "registry.example.com/serve:typo": ErrImagePull: rpc error: code = NotFound ` +
		`desc = failed to pull and unpack image "registry.example.com/serve:typo": failed to resolve image: ` +
		`registry.example.com/serve:typo: not found`
	quotaSaid = `pods "over-quota-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8, ` +
		`used: requests.nvidia.com/gpu=32, limited: requests.nvidia.com/gpu=32`
)

// TestCommonestFaults compares the statuses of sets with the commonest faults with golden files. Group 1 of 2 isn't
// ready. Its pods are as the API server shows them.
func TestCommonestFaults(t *testing.T) {
	for name, in := range map[string]*status.Input{
		"no-node": faulty("no-node", func(pods []*corev1.Pod) {
			for _, pod := range pods[2:] {
				pod.Status.Conditions = []corev1.PodCondition{{
					Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
					Message: schedulerSaid,
				}}
			}
		}),
		"bad-image": faulty("bad-image", func(pods []*corev1.Pod) {
			for _, pod := range pods {
				pod.Status.ContainerStatuses = []corev1.ContainerStatus{waits("ImagePullBackOff", kubeletSaid)}
			}
		}),
		"out-of-memory": faulty("out-of-memory", func(pods []*corev1.Pod) {
			killed := waits("CrashLoopBackOff", "back-off 1m20s restarting failed container=main")
			killed.RestartCount = 4
			killed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}
			pods[2].Status.ContainerStatuses = []corev1.ContainerStatus{killed}
		}),
		"recreated": with(*faulty("recreated", func([]*corev1.Pod) {}), func(in *status.Input) {
			const last = "recreated-1-2: container main OOMKilled, exit code 137"
			in.Crashes = map[int32]restart.Crash{1: {Restarts: 3, Waiting: last}}
		}),
		"gated": faulty("gated", func(pods []*corev1.Pod) {
			for _, pod := range pods {
				pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "kueue.x-k8s.io/admission"}}
			}
		}),
		"over-quota": with(newInput(2, "n"), func(in *status.Input) {
			in.Obstacles = []status.Obstacle{{
				Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate, Message: quotaSaid, Refusal: true,
			}}
		}),
	} {
		next, _ := status.Next(*in)
		next.UpdateRevision = "67456f6cd6"
		text, err := yaml.Marshal(&next)
		if err != nil {
			t.Fatal(err)
		}
		compareGolden(t, filepath.Join(commonest, name+".yaml"), string(text))
	}
}

// waits returns the status of a container that waits.
func waits(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}
}

// faulty returns a set whose group 1 has four pods, after a change of these. The pods are by worker index.
func faulty(name string, change func(pods []*corev1.Pod)) *status.Input {
	const size = 4
	leader := fmt.Sprintf("%s-1", name)
	m := &snapshot.GroupMembers{Workers: &appsv1.StatefulSet{ObjectMeta: owned(leader, types.UID(leader))}}
	m.Workers.UID = "workers"
	pods := []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
		Name: leader, UID: types.UID(leader), Annotations: map[string]string{leaderworkersetv1.SizeAnnotationKey: "4"},
	}}}
	for worker := 1; worker < size; worker++ {
		pods = append(pods, &corev1.Pod{ObjectMeta: owned(fmt.Sprintf("%s-%d", leader, worker), "workers")})
	}
	change(pods)
	for _, pod := range pods { // The cache keeps this much of them.
		pod.Status.Conditions = snapshot.FaultConditions(pod)
		pod.Status.ContainerStatuses = snapshot.FaultStatuses(pod.Status.ContainerStatuses, false)
	}
	m.Leader, m.WorkerPods = pods[0], pods[1:]

	in := newInput(2, "nw")
	seen := m.Observation("")
	in.Set.Groups[1].Observed = &seen
	return &in
}

// owned returns the metadata of an object with a controller.
func owned(name string, owner types.UID) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: ptr.To(true)}}}
}
