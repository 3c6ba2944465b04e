// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// youngLeader is the age up to which a leader pod is taken to exist without asking the API server. Almost all workers
// are created within that time, so creating a set costs no further requests.
const youngLeader = 5 * time.Second

// WithLiveLeader returns the verdict with a precondition for the objects of the leader's incarnation: the pod exists
// and isn't being deleted. A late view shows a leader that is gone, and no workers any more. A process that was frozen
// has such a view, and a cache whose watch of StatefulSets is ahead of that of pods. Without the precondition, the pass
// would create workers of the previous incarnation beside the next one.
func (v Verdict) WithLiveLeader(m *snapshot.GroupMembers, now time.Time) Verdict {
	if m.Leader == nil || now.Sub(m.Leader.CreationTimestamp.Time) <= youngLeader {
		return v
	}
	for i := range v.Writes {
		switch child := v.Writes[i].Create; {
		case child == nil:
		case metav1.IsControlledBy(child, m.Leader):
			v.Writes[i].OwnerMustLive = metav1.GetControllerOf(child)
		case scheduling.IsPodGroup(child):
			v.Writes[i].OwnerMustLive = leaderReference(m.Leader.Name, m.Leader.UID)
		}
	}
	return v
}
