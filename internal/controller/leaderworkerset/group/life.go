// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// replacedMeanwhile is the failure of a group that differs from what was remembered of it.
const replacedMeanwhile = "a pod was deleted or replaced, or had a container restart, while the operator wasn't running"

// Observe follows the life of a group: it takes what was known of it, adds what is seen now, and says whether the group has failed. A
// failure is a pod that is gone or going, known by its UID, so that one that was replaced between two looks counts; a pod that is
// Failed; or a container that restarted since the group was complete. Pods of the group's earlier lives don't count, nor does
// anything while the group as a whole goes away, or under the restart policy None.
func Observe(known snapshot.Life, members *snapshot.GroupMembers) snapshot.Life {
	if goesAway(members) || members.LWS.RestartPolicy() == leaderworkersetv1.NoneRestartPolicy {
		return snapshot.Life{}
	}
	pods := ownPods(members)
	life := known
	if known.Leader != members.Leader.UID {
		life = begin(members, pods)
	}
	if life.Failure == "" {
		life.Failure, life.Crashed = failure(&life, pods, members)
	}
	if life.Failure == "" && !life.Complete() {
		life = grown(life, pods, members)
	}
	return life
}

// goesAway says whether there is no group whose pods could fail: no leader, or one that goes, alone or with its set.
func goesAway(m *snapshot.GroupMembers) bool {
	return m.Leader == nil || m.Leader.DeletionTimestamp != nil ||
		!m.Belongs() || m.LWS.DeletionTimestamp != nil || m.Leaders.DeletionTimestamp != nil
}

// ownPods are the pods of the group's present life, by worker index.
func ownPods(m *snapshot.GroupMembers) map[int32]*corev1.Pod {
	pods := map[int32]*corev1.Pod{0: m.Leader}
	workers := m.OwnWorkers()
	if workers == nil {
		return pods
	}
	for _, pod := range m.WorkerPods {
		if _, worker, ok := identity.Parse(pod.Name); ok && metav1.IsControlledBy(pod, workers) {
			pods[worker] = pod
		}
	}
	return pods
}

// begin is the life of a leader that nothing is known of in this process. If it is remembered as complete, it has to be the same still.
func begin(m *snapshot.GroupMembers, pods map[int32]*corev1.Pod) snapshot.Life {
	life := snapshot.Life{Leader: m.Leader.UID}
	if !snapshot.IsOfLeader(m.Remembered, m.Leader.UID) {
		return life
	}
	life.Members = seen(pods)
	life.Fingerprint = snapshot.Fingerprint(life.Leader, life.Members)
	if len(pods) != int(snapshot.LeaderSize(m.Leader)) || life.Fingerprint != m.Remembered {
		life.Failure = replacedMeanwhile
	}
	return life
}

// failure is why the group has to be recreated, and whether that came from within; empty if it hasn't.
func failure(life *snapshot.Life, pods map[int32]*corev1.Pod, m *snapshot.GroupMembers) (why string, crashed bool) {
	if !life.Complete() && m.LWS.RestartPolicy() == leaderworkersetv1.RecreateGroupAfterStart {
		return "", false
	}
	for _, worker := range slices.Sorted(maps.Keys(life.Members)) {
		known, pod := life.Members[worker], pods[worker]
		switch {
		case pod == nil && remains(known, m):
		case pod == nil:
			return fmt.Sprintf("pod %s was deleted", podName(m, worker)), false
		case pod.UID != known.UID:
			return fmt.Sprintf("pod %s was deleted and created again", pod.Name), false
		case life.Complete() && snapshot.MemberOf(pod).Restarts > known.Restarts:
			return "a container restarted in pod " + pod.Name, true
		}
	}
	for _, worker := range slices.Sorted(maps.Keys(pods)) {
		switch pod := pods[worker]; {
		case pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "": // The StatefulSet controller is about to delete it.
			return fmt.Sprintf("pod %s failed: %s", pod.Name, pod.Status.Reason), true
		case pod.Status.Phase == corev1.PodFailed:
			return fmt.Sprintf("pod %s failed", pod.Name), true
		case pod.DeletionTimestamp != nil:
			return fmt.Sprintf("pod %s is being deleted", pod.Name), false
		}
	}
	return "", false
}

// remains says whether a worker is there as it was, though the StatefulSet that it belongs to isn't seen.
func remains(known snapshot.Member, m *snapshot.GroupMembers) bool {
	workers := m.UnseenWorkers()
	return workers != "" && slices.ContainsFunc(m.WorkerPods, func(pod *corev1.Pod) bool {
		owner := metav1.GetControllerOf(pod)
		return pod.UID == known.UID && pod.DeletionTimestamp == nil && owner != nil && owner.UID == workers
	})
}

// grown is the life with the pods that have come. It is complete when all are there and, where the policy waits for it, started.
func grown(life snapshot.Life, pods map[int32]*corev1.Pod, m *snapshot.GroupMembers) snapshot.Life {
	life.Members = seen(pods)
	complete := len(pods) == int(snapshot.LeaderSize(m.Leader))
	if m.LWS.RestartPolicy() == leaderworkersetv1.RecreateGroupAfterStart {
		for _, pod := range pods {
			complete = complete && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
		}
	}
	if complete {
		life.Fingerprint = snapshot.Fingerprint(life.Leader, life.Members)
	}
	return life
}

func seen(pods map[int32]*corev1.Pod) map[int32]snapshot.Member {
	members := make(map[int32]snapshot.Member, len(pods))
	for worker, pod := range pods {
		members[worker] = snapshot.MemberOf(pod)
	}
	return members
}

func podName(m *snapshot.GroupMembers, worker int32) string {
	if worker == 0 {
		return m.Leader.Name
	}
	return identity.Worker(m.Leader.Name, worker)
}
