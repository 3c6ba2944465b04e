// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestTeardown ends groups whose pods use their whole termination grace period. All pods of a group terminate before
// the first is deleted, so each group ends after one grace period.
func TestTeardown(t *testing.T) {
	t.Parallel()
	const (
		replicas, size = 2, 4
		grace          = 10 * time.Second
	)
	tests := map[string]struct {
		end    func(*testing.T, *leaderworkersetv1.LeaderWorkerSet, map[string]*corev1.Pod)
		groups int // number of groups that end
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
			lws := newSet(namespace, "slow", replicas, size, terminatesAfter(grace.String()),
				func(lws *leaderworkersetv1.LeaderWorkerSet) {
					seconds := int64(grace.Seconds())
					lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.TerminationGracePeriodSeconds = ptr.To(seconds)
				})
			create(t, lws)
			untilAvailable(t, lws)
			pods.until(t, exactlyReady(podNames("slow", replicas, size), image))
			before := pods.current(t)

			began := time.Now()
			test.end(t, lws, before)
			ending := podNames("slow", int32(test.groups), size) //nolint:gosec // A few.
			pods.until(t, func(state map[string]*corev1.Pod) error {
				for _, name := range ending {
					if pod := state[name]; pod != nil && pod.UID == before[name].UID {
						return fmt.Errorf("%s still exists", name)
					}
				}
				return nil
			})
			t.Logf("%d pods with a grace period of %s were deleted after %.1f s", len(ending), grace,
				time.Since(began).Seconds())
			if late := notTerminating(pods.soFar(t), before, ending); len(late) > 0 {
				t.Errorf("%s weren't terminating when the first pod was deleted", late)
			}
		})
	}
}

// notTerminating returns the names of the ending pods that weren't terminating when the first of them was deleted.
// before has the pods by name.
func notTerminating(changes []change[*corev1.Pod], before map[string]*corev1.Pod, ending []string) []string {
	running := map[types.UID]string{}
	for _, name := range ending {
		running[before[name].UID] = name
	}
	all := maps.Clone(running)
	for _, change := range changes {
		if change.object.DeletionTimestamp != nil {
			delete(running, change.object.UID)
		}
		if change.kind == watch.Deleted && all[change.object.UID] != "" {
			break
		}
	}
	return slices.Sorted(maps.Values(running))
}
