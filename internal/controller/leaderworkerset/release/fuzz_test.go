// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package release_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
)

// FuzzOf reads annotations that anybody may have written. The release that is read is in order, and is read again as
// the same after it is written. The webhook can compare every leader with it.
func FuzzOf(f *testing.F) {
	f.Add("", true, int32(0), "b", "a-0")
	f.Add(`{"revision":"b","partition":3,"groups":[1,0],"deferred":[2]}`, true, int32(3), "b", "a-2")
	f.Add(`{"partition":-1,"groups":[-1,2147483647],"deferred":null}`, false, int32(-5), "", "a-1")
	f.Add(`{"partition":2147483648}`, true, int32(1), "b", "a-")
	f.Add(`[]`, true, int32(1), "a", "1")
	f.Fuzz(func(t *testing.T, annotation string, onDelete bool, partition int32, revision, pod string) {
		strategy := appsv1.StatefulSetUpdateStrategy{
			Type:          appsv1.RollingUpdateStatefulSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition},
		}
		if onDelete {
			strategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		}
		leaders := &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{
				UID:         "1",
				Labels:      map[string]string{leaderworkersetv1.RevisionLabelKey: "b"},
				Annotations: map[string]string{leaderworkersetv1.AheadAnnotationKey: annotation},
			},
			Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](4), UpdateStrategy: strategy},
		}
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: pod, Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: revision},
			OwnerReferences: []metav1.OwnerReference{{UID: "1", Controller: ptr.To(true)}},
		}}
		got, rejection := release.Of(leaders), release.Rejection(leaders, leader)
		for _, indices := range [][]int32{got.Also, got.Deferred} {
			slices.Reverse(indices)
			if !slices.IsSorted(indices) || len(slices.Compact(slices.Clone(indices))) != len(indices) {
				t.Errorf("%v aren't in order", indices)
			}
			slices.Reverse(indices)
		}
		if rejection != "" && !release.IsRejection(rejection) {
			t.Errorf("nobody recognizes %q as a rejection", rejection)
		}
		leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] = got.Annotation("b")
		if again := release.Of(leaders); !got.Equal(again) {
			t.Errorf("written and read again it means something else: %s", cmp.Diff(got, again))
		}
	})
}
