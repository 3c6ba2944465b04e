// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// NeedsPodGroup reports whether a leader has yet to be put into a PodGroup. All leaders come from one template, so the
// template can't do that.
func NeedsPodGroup(leader *corev1.Pod) bool {
	return leader.Annotations[leaderworkersetv1.SchedulingGroupAnnotationKey] != "" && leader.Spec.SchedulingGroup == nil
}

// JoinPodGroup puts a leader into a PodGroup that no other incarnation has, and returns the operations of a JSON patch
// that does the same. admission is the UID of the request that creates the leader. A leader that isn't created after
// all leaves nothing behind: passes create the PodGroup that an existing leader names.
func JoinPodGroup(leader *corev1.Pod, admission types.UID) []jsonpatch.Operation {
	if !NeedsPodGroup(leader) {
		return nil
	}
	e := &editor{pod: leader}
	e.setPodGroup(scheduling.Name(leader.Name, admission))
	return e.patch
}

// setPodGroup puts the pod into a PodGroup.
func (e *editor) setPodGroup(name string) {
	e.pod.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: ptr.To(name)}
	e.add("/spec/schedulingGroup", e.pod.Spec.SchedulingGroup)
}
