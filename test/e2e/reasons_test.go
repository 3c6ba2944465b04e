// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestLocalReasons takes groups from fault to fault. The status says of each which pods have it.
func TestLocalReasons(t *testing.T) {
	t.Parallel()
	const gate = "example.com/quota"
	namespace := newNamespace(t)
	lws := newSet(namespace, "why", 1, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		lws.Spec.LeaderWorkerTemplate.LeaderTemplate = ptr.To(podTemplate())
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		template.Spec.NodeSelector = map[string]string{"example.com/nowhere": "true"}
		template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: gate}}
	})
	create(t, lws)
	untilExplained(t, lws, leaderworkersetv1.UnreadyGated, "why-0-1, why-0-2: waits for "+gate)

	for _, name := range []string{"why-0-1", "why-0-2"} {
		edit(t, named(t, listed(t, podsIn(namespace)), name), func(pod *corev1.Pod) { pod.Spec.SchedulingGates = nil })
	}
	untilExplained(t, lws, leaderworkersetv1.UnreadyUnschedulable, "why-0-1, why-0-2: 0/")

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate = podTemplate()
	})
	untilAvailable(t, lws)
	crash(t, failPull, named(t, listed(t, podsIn(namespace)), "why-0"))
	untilExplained(t, lws, leaderworkersetv1.UnreadyImagePull, "why-0: ErrImagePull: no such image")
	crash(t, runOutOfMemory, named(t, listed(t, podsIn(namespace)), "why-0"))
	untilExplained(t, lws, leaderworkersetv1.UnreadyCrashLoop, "why-0: OOMKilled, exit code 137, 4 restarts")
}

// untilExplained waits until the set's status reports one group as not ready, with a reason and a message that begins
// like this.
func untilExplained(
	t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, reason leaderworkersetv1.UnreadyReason, begin string,
) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		groups := lws.Status.UnreadyGroups
		return unless(len(groups) == 1 && groups[0].Reason == reason && strings.HasPrefix(groups[0].Message, begin),
			"unreadyGroups: %+v", groups)
	})
}

// failPull sets the status of a pod whose image can't be pulled.
func failPull(status *corev1.PodStatus) {
	keepWaiting(status, corev1.ContainerStateWaiting{
		Reason: "ImagePullBackOff", Message: `Back-off pulling image "x": ErrImagePull: no such image`,
	})
}

// runOutOfMemory sets the status of a pod whose container is killed again and again.
func runOutOfMemory(status *corev1.PodStatus) {
	keepWaiting(status, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 40s"})
	status.ContainerStatuses[0].RestartCount = 4
	status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		Reason: "OOMKilled", ExitCode: 137,
	}
}

func keepWaiting(status *corev1.PodStatus, waiting corev1.ContainerStateWaiting) {
	isReady := func(condition corev1.PodCondition) bool { return condition.Type == corev1.PodReady }
	status.Conditions = append(slices.DeleteFunc(status.Conditions, isReady), corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady",
	})
	status.ContainerStatuses[0].Ready = false
	status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &waiting}
}
