// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestTeardown has pods that use their whole termination grace period. However a group ends, it is gone after one of them.
func TestTeardown(t *testing.T) {
	t.Parallel()
	const (
		replicas, size = 2, 4
		grace          = 10 * time.Second
		atMost         = grace * 13 / 10
	)
	tests := map[string]struct {
		end    func(*testing.T, *leaderworkersetv1.LeaderWorkerSet, map[string]*corev1.Pod)
		groups int // that end
	}{
		"a worker is deleted": {func(t *testing.T, _ *leaderworkersetv1.LeaderWorkerSet, pods map[string]*corev1.Pod) {
			t.Helper()
			remove(t, pods["slow-0-2"])
		}, 1},
		"the leader is deleted": {func(t *testing.T, _ *leaderworkersetv1.LeaderWorkerSet, pods map[string]*corev1.Pod) {
			t.Helper()
			remove(t, pods["slow-0"])
		}, 1},
		"the set is deleted": {func(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, _ map[string]*corev1.Pod) {
			t.Helper()
			remove(t, lws, client.PropagationPolicy(metav1.DeletePropagationBackground))
		}, replicas},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
			lws := newSet(namespace, "slow", replicas, size, terminatesAfter(grace.String()), func(lws *leaderworkersetv1.LeaderWorkerSet) {
				seconds := int64(grace.Seconds())
				lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.TerminationGracePeriodSeconds = ptr.To(seconds)
			})
			create(t, lws)
			untilAvailable(t, lws)
			pods.until(t, isExactly(podNames("slow", replicas, size), image))
			before := pods.current(t)

			began := time.Now()
			test.end(t, lws, before)
			ending := podNames("slow", int32(test.groups), size) //nolint:gosec // A few.
			pods.until(t, func(state map[string]*corev1.Pod) error {
				for _, name := range ending {
					if pod := state[name]; pod != nil && pod.UID == before[name].UID {
						return fmt.Errorf("%s is still there", name)
					}
				}
				return nil
			})
			took := time.Since(began)
			t.Logf("%d pods with a grace period of %s were gone after %.1f s", len(ending), grace, took.Seconds())
			if took > atMost {
				t.Errorf("the pods were gone after %s, want %s at most", took, atMost)
			}
		})
	}
}
