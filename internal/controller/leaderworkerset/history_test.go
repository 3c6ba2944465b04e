// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// TestHistory pushes one image after the other, each before a pod of the last one can be ready. The number of revisions
// stays bounded, and the revision of each group is kept.
func TestHistory(t *testing.T) {
	const pushes = 50
	for _, unavailable := range []int32{1, 3} {
		for _, limit := range []int32{0, 2, 10} {
			t.Run(fmt.Sprintf("maxUnavailable=%d,limit=%d", unavailable, limit), func(t *testing.T) {
				t.Parallel()
				s := scene{t, simulate.New(t, operatorUnderTest(t))}
				s.starts("3 groups of 2", newSet(3, 2, withBudget(unavailable, 0), withHistory(limit)))
				for push := range pushes {
					s.changes(fmt.Sprintf("image:%d", push+2), withImage(push+2))
					s.Elapse(time.Second / 2) // Pods change at full seconds. The operator has handled that by now.
					s.CheckHistory(theSet)
					s.Elapse(time.Second / 2)
				}
				s.Settle()
				s.CheckReconciled(theSet)
			})
		}
	}
}

// TestHistoryKeepsRevisionsBelowThePartition deletes the only group below the partition, in a set without history. The
// group is created again at its own revision, which for a while no object has.
func TestHistoryKeepsRevisionsBelowThePartition(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed+1)}
			s.creates("2 groups of 2, no history", newSet(2, 2, withHistory(0)))
			s.Settle()
			s.changes("image:2 from group 1 on", func(lws *leaderworkersetv1.LeaderWorkerSet) {
				withImage(2)(lws)
				lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
			})
			s.Settle()
			s.User("deletes pod a-0", func() error {
				return s.API.Delete("Pod", pod("a-0"), nil, metav1.DeletePropagationBackground)
			})
			s.Settle()
			pods := map[string]string{}
			for _, object := range s.API.List("Pod") {
				if member, ok := object.(*corev1.Pod); ok {
					pods[member.Name] = member.Spec.Containers[0].Image
				}
			}
			want := map[string]string{"a-0": "image:1", "a-0-1": "image:1", "a-1": "image:2", "a-1-1": "image:2"}
			if diff := cmp.Diff(want, pods); diff != "" {
				t.Errorf("images (-want +got):\n%s\n%s", diff, s.Film())
			}
		})
	}
}
