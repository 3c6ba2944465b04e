// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

func TestLatestRefusal(t *testing.T) {
	began := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	event := func(uid string, second int, count int32, message string) *corev1.Event {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}, Message: message,
			Count: count, LastTimestamp: metav1.NewTime(began.Add(time.Duration(second) * time.Second)),
		}
	}
	const created = "create Pod a-1 in StatefulSet a failed error: "
	for _, tc := range []struct {
		name   string
		events []*corev1.Event
		want   string
	}{
		{"none", nil, ""},
		{"one", []*corev1.Event{event("1", 0, 1, created+"quota")}, "quota"},
		{"the latest", []*corev1.Event{event("1", 5, 1, created+"quota"), event("2", 3, 9, created+"policy")}, "quota"},
		{"combined", []*corev1.Event{event("1", 0, 1, "(combined from similar events): "+created+"quota")}, "quota"},
		{"in other words", []*corev1.Event{event("1", 0, 1, "no pod")}, "no pod"},
	} {
		if got := snapshot.LatestRefusal(tc.events).Message; got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	before := snapshot.LatestRefusal([]*corev1.Event{event("1", 5, 1, "")})
	for name, tc := range map[string]struct {
		refusal snapshot.Refusal
		want    bool
	}{
		"none":              {snapshot.Refusal{}, false},
		"the same":          {before, false},
		"again":             {snapshot.LatestRefusal([]*corev1.Event{event("1", 5, 2, "")}), true},
		"an older one":      {snapshot.LatestRefusal([]*corev1.Event{event("2", 4, 1, "")}), false},
		"another one later": {snapshot.LatestRefusal([]*corev1.Event{event("2", 6, 1, "")}), true},
	} {
		if got := tc.refusal.IsAfter(before); got != tc.want {
			t.Errorf("%s: IsAfter() is %t, want %t", name, got, tc.want)
		}
	}
}

func TestMissingLeaders(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", UID: "set"}}
	leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet")),
	}}}
	leaders.Spec.Replicas = ptr.To[int32](4)
	set := &snapshot.Set{LWS: lws, Leaders: leaders, Groups: []snapshot.Group{{Index: 1}, {Index: 3}, {Index: 5}}}
	if got, want := set.MissingLeaders(), []int32{0, 2}; !slices.Equal(got, want) {
		t.Errorf("MissingLeaders() = %v, want %v", got, want)
	}
	leaders.DeletionTimestamp = &metav1.Time{}
	if got := set.MissingLeaders(); got != nil {
		t.Errorf("MissingLeaders() of a deleted StatefulSet is %v", got)
	}
}
