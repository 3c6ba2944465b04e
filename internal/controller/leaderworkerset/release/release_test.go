// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package release_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
)

func TestOf(t *testing.T) {
	rolling := appsv1.StatefulSetUpdateStrategy{
		Type:          appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)},
	}
	onDelete := appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	for _, tc := range []struct {
		name, annotation string
		strategy         appsv1.StatefulSetUpdateStrategy
		want             release.Release
	}{
		{name: "a partition", strategy: rolling, want: release.Release{Partition: 2}},
		{name: "none", want: release.Release{}},
		{
			name: "groups below the partition", strategy: rolling, annotation: `{"partition":3,"groups":[1,0]}`,
			want: release.Release{Partition: 2, Also: []int32{1, 0}},
		},
		{
			name: "groups in another order, and twice", strategy: rolling, annotation: `{"partition":3,"groups":[0,1,0]}`,
			want: release.Release{Partition: 2, Also: []int32{1, 0}},
		},
		{
			name: "deferred groups, twice", strategy: rolling, annotation: `{"partition":2,"deferred":[0,1,1]}`,
			want: release.Release{Partition: 2, Deferred: []int32{1, 0}},
		},
		{
			name: "while they are created", strategy: onDelete, annotation: `{"partition":3,"groups":[1,0]}`,
			want: release.Release{Partition: 3, Also: []int32{1, 0}},
		},
		{name: "OnDelete of another owner releases no group", strategy: onDelete, want: release.Release{Partition: 4}},
		{
			name: "at this revision", strategy: rolling, annotation: `{"revision":"b","partition":2,"groups":[0]}`,
			want: release.Release{Partition: 2, Also: []int32{0}},
		},
		{
			name: "at an earlier revision", strategy: rolling, annotation: `{"revision":"a","partition":2,"groups":[0]}`,
			want: release.Release{Partition: 2},
		},
		{
			name: "OnDelete at an earlier revision", strategy: onDelete,
			annotation: `{"revision":"a","partition":2,"groups":[0]}`, want: release.Release{Partition: 4},
		},
		{
			name: "an invalid annotation releases no group", strategy: onDelete, annotation: `{"partition":"1"}`,
			want: release.Release{Partition: 4},
		},
	} {
		leaders := &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{
				Labels:      map[string]string{leaderworkersetv1.RevisionLabelKey: "b"},
				Annotations: map[string]string{leaderworkersetv1.AheadAnnotationKey: tc.annotation},
			},
			Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](4), UpdateStrategy: tc.strategy},
		}
		got := release.Of(leaders)
		if !cmp.Equal(tc.want, got) {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
		leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] = got.Annotation("b")
		if again := release.Of(leaders); !cmp.Equal(got, again) {
			t.Errorf("%s: written and read again it is %+v, want %+v", tc.name, again, got)
		}
	}
}
