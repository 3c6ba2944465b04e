// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disruption

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestBrokenGroups breaks groups of a set with three groups of two pods.
func TestBrokenGroups(t *testing.T) {
	for name, test := range map[string]struct {
		change func(map[string]*corev1.Pod)
		want   []int32
	}{
		"none": {change: func(map[string]*corev1.Pod) {}},
		"a leader terminates": {
			change: func(pods map[string]*corev1.Pod) {
				pods["set-1"].DeletionTimestamp = ptr.To(metav1.NewTime(time.Now()))
			},
			want: []int32{1},
		},
		"a worker isn't ready": {
			change: func(pods map[string]*corev1.Pod) { pods["set-2-1"].Status.Conditions[0].Status = corev1.ConditionFalse },
			want:   []int32{2},
		},
		"a worker isn't there, and neither is a group": {
			change: func(pods map[string]*corev1.Pod) {
				delete(pods, "set-0-1")
				delete(pods, "set-2")
				delete(pods, "set-2-1")
			},
			want: []int32{0, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			lws := &leaderworkersetv1.LeaderWorkerSet{}
			lws.Spec.Replicas, lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](3), ptr.To[int32](2)
			pods := map[string]*corev1.Pod{}
			for group := range 3 {
				for _, name := range []string{fmt.Sprintf("set-%d", group), fmt.Sprintf("set-%d-1", group)} {
					pods[name] = readyPod(group)
				}
			}
			test.change(pods)
			if diff := cmp.Diff(test.want, BrokenGroups(lws, pods)); diff != "" {
				t.Errorf("broken groups (-want +got):\n%s", diff)
			}
		})
	}
}

// readyPod returns a ready pod of a group.
func readyPod(group int) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Labels = map[string]string{leaderworkersetv1.GroupIndexLabelKey: fmt.Sprint(group)}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return pod
}
