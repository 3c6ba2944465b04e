// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

func TestBudgetOf(t *testing.T) {
	for _, tc := range []struct {
		name                           string
		replicas                       int32
		maxSurge, maxUnavailable       string
		wantedSurge, wantedUnavailable int32
	}{
		{"numbers", 5, "1", "2", 1, 2},
		{"both 0", 5, "0", "0", 0, 1},
		{"a percentage, rounded up and down", 5, "10%", "10%", 1, 0},
		{"percentages without a fraction", 100, "7%", "29%", 7, 29},
		{"a percentage that is rounded down to 0", 5, "0%", "10%", 0, 1},
		{"more surge than replicas", 3, "200%", "0", 3, 0},
		{"more unavailable than replicas", 3, "0", "200%", 0, 6},
		{"no replicas", 0, "25%", "25%", 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lws := &leaderworkersetv1.LeaderWorkerSet{}
			lws.Spec.Replicas = &tc.replicas
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
				MaxSurge: ptr.To(intstr.Parse(tc.maxSurge)), MaxUnavailable: ptr.To(intstr.Parse(tc.maxUnavailable)),
			}
			if surge, unavailable := budgetOf(lws); surge != tc.wantedSurge || unavailable != tc.wantedUnavailable {
				t.Errorf("budgetOf() = %d, %d, want %d, %d", surge, unavailable, tc.wantedSurge, tc.wantedUnavailable)
			}
		})
	}
}

func TestReleaseOf(t *testing.T) {
	const released, others = 1, 0
	for _, tc := range []struct {
		name, annotation string
		strategy         appsv1.StatefulSetUpdateStrategyType
		want             [4]int
	}{
		{"a partition", "", appsv1.RollingUpdateStatefulSetStrategyType, [4]int{others, others, others, released}},
		{"a partition and a group below", `{"partition":2,"groups":[0]}`,
			appsv1.RollingUpdateStatefulSetStrategyType, [4]int{released, others, others, released}},
		{"no partition and a group below", `{"partition":2,"groups":[0]}`,
			appsv1.OnDeleteStatefulSetStrategyType, [4]int{released, others, released, released}},
		{"another revision", `{"revision":"a","partition":2,"groups":[0]}`,
			appsv1.RollingUpdateStatefulSetStrategyType, [4]int{others, others, others, released}},
		{"nothing that can be read", "x", appsv1.OnDeleteStatefulSetStrategyType, [4]int{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
				Annotations: map[string]string{leaderworkersetv1.AheadAnnotationKey: tc.annotation},
			}}
			leaders.Spec.Replicas = ptr.To[int32](4)
			leaders.Spec.UpdateStrategy.Type = tc.strategy
			if tc.strategy == appsv1.RollingUpdateStatefulSetStrategyType {
				leaders.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](3)}
			}
			var got [4]int
			for index := range got {
				if releaseOf(leaders).includes(int32(index)) {
					got[index] = released
				}
			}
			if got != tc.want {
				t.Errorf("released groups are %v, want %v", got, tc.want)
			}
		})
	}
}
