// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

func TestOrderOf(t *testing.T) {
	rolling := appsv1.StatefulSetUpdateStrategy{
		Type:          appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)},
	}
	onDelete := appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	for _, tc := range []struct {
		name, annotation string
		strategy         appsv1.StatefulSetUpdateStrategy
		want             snapshot.Order
	}{
		{name: "a partition", strategy: rolling, want: snapshot.Order{Partition: 2}},
		{name: "none", want: snapshot.Order{}},
		{
			name: "groups ahead of the partition", strategy: rolling, annotation: `{"partition":3,"groups":[1,0]}`,
			want: snapshot.Order{Partition: 2, Ahead: []int32{1, 0}},
		},
		{
			name: "while they are created", strategy: onDelete, annotation: `{"partition":3,"groups":[1,0]}`,
			want: snapshot.Order{Partition: 3, Ahead: []int32{1, 0}},
		},
		{name: "somebody else's OnDelete lets nothing go", strategy: onDelete, want: snapshot.Order{Partition: 4}},
		{name: "nonsense lets nothing go", strategy: onDelete, annotation: `{"partition":"1"}`, want: snapshot.Order{Partition: 4}},
	} {
		leaders := &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{leaderworkersetv1.AheadAnnotationKey: tc.annotation}},
			Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To[int32](4), UpdateStrategy: tc.strategy},
		}
		got := snapshot.OrderOf(leaders)
		if !cmp.Equal(tc.want, got) {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
		leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] = got.Annotation()
		if again := snapshot.OrderOf(leaders); !cmp.Equal(got, again) {
			t.Errorf("%s: written and read again it is %+v, want %+v", tc.name, again, got)
		}
	}
}

func TestOrderIncludes(t *testing.T) {
	for _, tc := range []struct {
		name        string
		order, than snapshot.Order
		want        bool
	}{
		{"itself", snapshot.Order{Partition: 3, Ahead: []int32{1}}, snapshot.Order{Partition: 3, Ahead: []int32{1}}, true},
		{"a higher partition", snapshot.Order{Partition: 2}, snapshot.Order{Partition: 3}, true},
		{"a lower partition", snapshot.Order{Partition: 3}, snapshot.Order{Partition: 2}, false},
		{"fewer groups ahead", snapshot.Order{Partition: 3, Ahead: []int32{1, 0}}, snapshot.Order{Partition: 3, Ahead: []int32{1}}, true},
		{"another group ahead", snapshot.Order{Partition: 3, Ahead: []int32{0}}, snapshot.Order{Partition: 3, Ahead: []int32{1}}, false},
		{"a group ahead that the partition has come to", snapshot.Order{Partition: 1}, snapshot.Order{Partition: 3, Ahead: []int32{1}}, true},
	} {
		if got := tc.order.Includes(tc.than); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}
