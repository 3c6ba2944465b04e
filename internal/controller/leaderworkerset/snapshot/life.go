// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Life is what is known of one life of a group: the time between the creation of a leader pod and its deletion. A group that is
// recreated begins a new one.
type Life struct {
	// Leader is the leader pod, by which lives are told apart; empty if nothing is known.
	Leader types.UID

	// Members are the pods that belong to this life, by worker index, the leader's included.
	Members map[int32]Member

	// Fingerprint is that of Leader and Members, once all pods of the group were there at the same time, and started if the restart policy
	// asks for that; empty before. Of a life that isn't complete nothing has to be remembered.
	Fingerprint string

	// Failure says why the group has to be recreated; empty if it hasn't.
	Failure string

	// Crashed says that the failure came from within: a container ended or a pod failed. Pods that someone deleted don't count.
	Crashed bool
}

// Member is a pod as it was when its group was complete or, before, when it was last seen.
type Member struct {
	UID types.UID

	// Restarts is how often its containers and init containers had restarted.
	Restarts int32
}

// MemberOf is a pod as it is now.
func MemberOf(pod *corev1.Pod) Member {
	member := Member{UID: pod.UID}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			member.Restarts += statuses[i].RestartCount
		}
	}
	return member
}

// Complete says whether all pods of the group were there at the same time.
func (l Life) Complete() bool { return l.Fingerprint != "" }

// Fingerprint is a short text that differs between lives, and between two states of one life if a pod was replaced or a container
// restarted in between. What a group got from one version of the operator it gets from the next: a text that differs would recreate it.
func Fingerprint(leader types.UID, members map[int32]Member) string {
	hash, line := fnv.New64a(), []byte{}
	for worker := range int32(len(members)) { //nolint:gosec // No more members than a group's size, an int32.
		member := members[worker]
		line = append(line[:0], member.UID...)
		line = append(line, ' ')
		line = strconv.AppendInt(line, int64(member.Restarts), 10)
		line = append(line, '\n')
		_, _ = hash.Write(line)
	}
	return leaderPart(leader) + hex.EncodeToString(hash.Sum(nil))
}

// IsOfLeader says whether a fingerprint is of a life of this leader pod.
func IsOfLeader(fingerprint string, leader types.UID) bool {
	return strings.HasPrefix(fingerprint, leaderPart(leader))
}

func leaderPart(leader types.UID) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(leader))
	return hex.EncodeToString(hash.Sum(nil)) + "-"
}
