// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

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

// replacedMeanwhile is the failure of a group that differs from the record.
var replacedMeanwhile = Failure{
	Cause:   WhileAway,
	Message: "a pod was deleted or replaced, or had a container restart, while the operator wasn't running",
}

// Observe follows the incarnation of a group: it takes what this process knew of it, adds what the pass observes, and
// says whether the group has failed. recorded is the group's fingerprint in the record, for an incarnation that this
// process doesn't know.
//
// A failure is a pod that is deleted, or about to be. It is known by its UID, so that a pod that was replaced between
// two passes counts. A failure is also a pod in phase Failed, or a container restart since the group was complete. Pods
// of earlier incarnations don't count. Nothing counts while the whole group is deleted, or under the restart policy
// None.
func Observe(known Incarnation, recorded string, members *snapshot.GroupMembers) Incarnation {
	if isDeleted(members) || members.LWS.RestartPolicy() == leaderworkersetv1.NoneRestartPolicy {
		return Incarnation{}
	}
	pods := members.Members()
	incarnation := known
	if known.Leader != members.Leader.UID {
		incarnation = begin(members, pods, recorded)
	}
	if incarnation.Failure == (Failure{}) {
		incarnation.Failure = failure(&incarnation, pods, members)
	}
	if incarnation.Failure == (Failure{}) && !incarnation.Complete() {
		incarnation = grown(incarnation, pods, members)
	}
	return withDisruptions(incarnation, pods)
}

// withDisruptions returns the incarnation with the disruptions that its pods show now. A pod shows them shortly before
// it is deleted. Then nothing else says why.
func withDisruptions(incarnation Incarnation, pods map[int32]*corev1.Pod) Incarnation {
	for worker, pod := range pods {
		member, known := incarnation.Members[worker]
		disruption := disruptionOf(pod)
		if !known || member.UID != pod.UID || member.Disruption == disruption || disruption == "" {
			continue
		}
		member.Disruption = disruption
		incarnation.Members = maps.Clone(incarnation.Members) // The memory shares them.
		incarnation.Members[worker] = member
	}
	return incarnation
}

// isDeleted reports whether there is no group whose pods could fail: there is no leader, or it is deleted, alone or
// with its set.
func isDeleted(m *snapshot.GroupMembers) bool {
	return m.Leader == nil || m.Leader.DeletionTimestamp != nil || !m.HasLiveSet()
}

// begin returns the incarnation of a leader that this process doesn't know. If the record says that it was complete,
// its pods have to be the same still.
func begin(m *snapshot.GroupMembers, pods map[int32]*corev1.Pod, recorded string) Incarnation {
	incarnation := Incarnation{Leader: m.Leader.UID}
	if !isOfLeader(recorded, m.Leader.UID) {
		return incarnation
	}
	incarnation.Members = membersOf(pods)
	incarnation.Fingerprint = Fingerprint(incarnation.Leader, incarnation.Members)
	if len(pods) != int(snapshot.LeaderSize(m.Leader)) || incarnation.Fingerprint != recorded {
		incarnation.Failure = replacedMeanwhile
	}
	return incarnation
}

// failure returns why the group has to be restarted; the zero value if it hasn't failed. The phase of a pod that is
// being deleted says nothing: its containers end because of the deletion.
func failure(incarnation *Incarnation, pods map[int32]*corev1.Pod, m *snapshot.GroupMembers) Failure {
	if !incarnation.Complete() && m.LWS.RestartPolicy() == leaderworkersetv1.RecreateGroupAfterStart {
		return Failure{}
	}
	for _, worker := range slices.Sorted(maps.Keys(incarnation.Members)) {
		known, pod := incarnation.Members[worker], pods[worker]
		switch {
		case pod == nil && remains(known, m):
		case pod == nil:
			return deletion(fmt.Sprintf("pod %s was deleted", podName(m, worker)), known.Disruption, PodDeleted)
		case pod.UID != known.UID:
			what := fmt.Sprintf("pod %s was deleted and created again", pod.Name)
			return deletion(what, known.Disruption, PodDeleted)
		case incarnation.Complete() && MemberOf(pod).Restarts > known.Restarts:
			return containerRestart(pod)
		}
	}
	for _, worker := range slices.Sorted(maps.Keys(pods)) {
		switch pod := pods[worker]; {
		case pod.DeletionTimestamp != nil:
			return deletion(fmt.Sprintf("pod %s is being deleted", pod.Name), disruptionOf(pod), PodDeleted)
		case pod.Status.Phase == corev1.PodFailed: // The StatefulSet controller deletes it soon.
			return podFailure(pod)
		}
	}
	return Failure{}
}

// remains reports whether a worker still is as it was, though the cache doesn't show the StatefulSet that controls it.
func remains(known Member, m *snapshot.GroupMembers) bool {
	workers := m.UnseenWorkers()
	return workers != "" && slices.ContainsFunc(m.WorkerPods, func(pod *corev1.Pod) bool {
		owner := metav1.GetControllerOf(pod)
		return pod.UID == known.UID && pod.DeletionTimestamp == nil && owner != nil && owner.UID == workers
	})
}

// grown returns the incarnation with the pods that exist now. It is complete when all exist and, where the policy waits
// for that, have started.
func grown(incarnation Incarnation, pods map[int32]*corev1.Pod, m *snapshot.GroupMembers) Incarnation {
	incarnation.Members = membersOf(pods)
	complete := len(pods) == int(snapshot.LeaderSize(m.Leader))
	if m.LWS.RestartPolicy() == leaderworkersetv1.RecreateGroupAfterStart {
		for _, pod := range pods {
			complete = complete && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
		}
	}
	if complete {
		incarnation.Fingerprint = Fingerprint(incarnation.Leader, incarnation.Members)
	}
	return incarnation
}

func membersOf(pods map[int32]*corev1.Pod) map[int32]Member {
	members := make(map[int32]Member, len(pods))
	for worker, pod := range pods {
		members[worker] = MemberOf(pod)
	}
	return members
}

func podName(m *snapshot.GroupMembers, worker int32) string {
	if worker == 0 {
		return m.Leader.Name
	}
	return identity.Worker(m.Leader.Name, worker)
}
