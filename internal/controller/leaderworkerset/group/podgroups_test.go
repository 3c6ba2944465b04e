// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// gang returns the members of a group that is a gang, with its leader in a PodGroup.
func gang(t *testing.T, change func(*leaderworkersetv1.LeaderWorkerSet)) *snapshot.GroupMembers {
	t.Helper()
	m := newMembers(t, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.Scheduling = &leaderworkersetv1.Scheduling{}
		change(lws)
	})
	m.Scheduling = scheduling.Features{Provider: scheduling.Kubernetes, PodGroups: scheduling.Versions()[0]}
	m.Leader.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: ptr.To("present")}
	return m
}

// podGroupOf returns a PodGroup of the incarnation of a leader.
func podGroupOf(m *snapshot.GroupMembers, name, leader string) *metav1.PartialObjectMetadata {
	podGroup := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: m.LWS.Namespace, UID: "podgroup",
		Annotations: map[string]string{leaderworkersetv1.LeaderUIDAnnotationKey: leader},
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(m.LWS, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet")),
		},
	}}
	podGroup.SetGroupVersionKind(scheduling.Kind(scheduling.Versions()[0]))
	return podGroup
}

// TestPodGroups lists the writes of passes over a group that is a gang.
func TestPodGroups(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	const workers = "create StatefulSet"
	for title, tc := range map[string]struct {
		change func(*snapshot.GroupMembers)
		want   []string
	}{
		"a new group": {want: []string{"create PodGroup present if the leader lives", workers}},
		"its PodGroup is there": {
			change: func(m *snapshot.GroupMembers) {
				m.PodGroups = append(m.PodGroups, podGroupOf(m, "present", string(m.Leader.UID)))
			},
			want: []string{workers},
		},
		"one of an earlier incarnation is there": {
			change: func(m *snapshot.GroupMembers) { m.PodGroups = append(m.PodGroups, podGroupOf(m, "earlier", "other")) },
			want: []string{
				"create PodGroup present if the leader lives", workers, "delete earlier if leader other is gone",
			},
		},
		"one that terminates is there": {
			change: func(m *snapshot.GroupMembers) {
				earlier := podGroupOf(m, "earlier", "other")
				earlier.DeletionTimestamp = ptr.To(metav1.NewTime(now))
				m.PodGroups = append(m.PodGroups, earlier, podGroupOf(m, "present", string(m.Leader.UID)))
			},
			want: []string{workers},
		},
		"one of an earlier set is there": {
			change: func(m *snapshot.GroupMembers) {
				foreign, orphan := podGroupOf(m, "foreign", "other"), podGroupOf(m, "present", string(m.Leader.UID))
				foreign.OwnerReferences[0].UID, orphan.OwnerReferences = "earlier set", nil
				m.PodGroups = append(m.PodGroups, foreign, orphan)
			},
			want: []string{workers, "adopt present"},
		},
		"no leader": {
			change: func(m *snapshot.GroupMembers) {
				m.PodGroups = append(m.PodGroups, podGroupOf(m, "present", string(m.Leader.UID)))
				m.Leader = nil
			},
			want: []string{"delete present if leader leader-uid is gone"},
		},
		"a leader without a PodGroup": {
			change: func(m *snapshot.GroupMembers) { m.Leader.Spec.SchedulingGroup = nil },
			want:   []string{workers},
		},
		"no PodGroups are served": {change: func(m *snapshot.GroupMembers) { m.Scheduling.PodGroups = "" }},
		"no provider":             {change: func(m *snapshot.GroupMembers) { m.Scheduling = scheduling.Features{} }},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			m := gang(t, unchanged)
			m.Leader.UID = "leader-uid"
			if tc.change != nil {
				tc.change(m)
			}
			if diff := cmp.Diff(tc.want, podGroupWords(group.Next(m).WithLiveLeader(m, now))); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
		})
	}
}

// podGroupWords returns the writes of a verdict in words.
func podGroupWords(verdict group.Verdict) []string {
	var words []string
	for _, write := range verdict.Writes {
		switch {
		case write.Create != nil && scheduling.IsPodGroup(write.Create):
			condition := ""
			if write.OwnerMustLive != nil && write.OwnerMustLive.UID == "leader-uid" {
				condition = " if the leader lives"
			}
			words = append(words, "create PodGroup "+write.Create.GetName()+condition)
		case write.Create != nil:
			words = append(words, "create StatefulSet")
		case write.Patch != nil:
			words = append(words, "adopt "+write.Patch.To.GetName())
		default:
			words = append(words, fmt.Sprintf("delete %s if leader %s is gone",
				write.Delete[0].GetName(), write.OwnerMustBeGone.UID))
		}
	}
	return words
}

// TestWorkersJoinTheirLeader checks that workers are in the PodGroup of their leader.
func TestWorkersJoinTheirLeader(t *testing.T) {
	t.Parallel()
	m := gang(t, unchanged)
	verdict := group.Next(m)
	verdict.Action, verdict.Writes = group.CreateWorkers, verdict.Writes[1:] // Without the PodGroup.
	pod := createdWorkers(t, verdict).Spec.Template
	if got := scheduling.NameOf(&corev1.Pod{Spec: pod.Spec}); got != "present" {
		t.Errorf("workers are in PodGroup %q", got)
	}
	m.Leader.Spec.SchedulingGroup = nil
	verdict = group.Next(m)
	if !verdict.LacksPodGroup || createdWorkers(t, verdict).Spec.Template.Spec.SchedulingGroup != nil {
		t.Errorf("verdict on a leader without a PodGroup: %+v", verdict)
	}
}
