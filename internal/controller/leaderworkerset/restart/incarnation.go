// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Incarnation is one life of a group: the time between the creation of its leader pod and the deletion of that pod. A
// group that is restarted begins the next one.
type Incarnation struct {
	// Leader is the UID of the leader pod, which identifies the incarnation; empty if nothing is known.
	Leader types.UID

	// Members are the pods of this incarnation by worker index, the leader included.
	Members map[int32]Member

	// Fingerprint is that of Leader and Members, since all pods of the group existed at the same time. If the restart
	// policy is RecreateGroupAfterStart, they must have started as well. It is empty before.
	Fingerprint string

	// Failure is why the group has to be restarted; the zero value if it hasn't to be.
	Failure Failure
}

// Member is a pod as it was when its group was complete or, before that, when it was last observed.
type Member struct {
	UID types.UID

	// Restarts is how often its containers and init containers had restarted.
	Restarts int32

	// Disruption is the cause that the pod gave for its end, when it was last observed; empty if it gave none.
	Disruption Cause
}

// MemberOf returns a pod as it is now.
func MemberOf(pod *corev1.Pod) Member {
	member := Member{UID: pod.UID, Disruption: disruptionOf(pod)}
	for status := range snapshot.ContainerStatuses(pod) {
		member.Restarts += status.RestartCount
	}
	return member
}

// Complete reports whether all pods of the group existed at the same time.
func (i Incarnation) Complete() bool { return i.Fingerprint != "" }

// failedAs reports whether the group of a leader failed in this incarnation.
func (i Incarnation) failedAs(leader types.UID) bool {
	return i.Leader == leader && i.Failure != (Failure{})
}

// Failed returns the indices of groups that have failed in their present incarnation. Such a group waits for its
// restart, or has no restarts left. The kubelet may have made its pods ready again.
func Failed(groups []snapshot.Group, incarnations map[int32]Incarnation, record Record) map[int32]bool {
	failed := map[int32]bool{}
	for _, group := range groups {
		leader := group.Leader.UID
		exhausted := leader != "" && record[group.Index].ExhaustedLeader == leader
		if exhausted || incarnations[group.Index].failedAs(leader) {
			failed[group.Index] = true
		}
	}
	return failed
}

// Fingerprint returns a short text that differs between incarnations. It also differs between two states of one
// incarnation if a pod was replaced or a container restarted in between. Later versions of the operator have to compute
// the same text: one that differs would restart the group.
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

// isOfLeader reports whether a fingerprint is of an incarnation of this leader pod.
func isOfLeader(fingerprint string, leader types.UID) bool {
	return strings.HasPrefix(fingerprint, leaderPart(leader))
}

func leaderPart(leader types.UID) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(leader))
	return hex.EncodeToString(hash.Sum(nil)) + "-"
}
