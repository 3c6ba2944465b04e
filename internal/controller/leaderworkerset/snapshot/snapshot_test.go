// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

func named(name, uid, ownerUID string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: name, UID: types.UID(uid)}
	if ownerUID != "" {
		meta.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(ownerUID), Controller: ptr.To(true)}}
	}
	return meta
}

// readyGroup returns a group of 3 pods that are all ready.
func readyGroup() snapshot.Group {
	labels := map[string]string{leaderworkersetv1.RevisionLabelKey: "abc"}
	return snapshot.Group{
		Leader: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Labels: labels, Annotations: map[string]string{leaderworkersetv1.SizeAnnotationKey: "3"},
			},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled}, {Type: corev1.PodReady, Status: corev1.ConditionTrue},
			}},
		},
		Workers: &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Labels: labels, Generation: 2},
			Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To[int32](2)},
			Status:     appsv1.StatefulSetStatus{ObservedGeneration: 2, ReadyReplicas: 2},
		},
	}
}

func TestGroupReady(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*snapshot.Group)
		want   bool
	}{
		{"all are ready", func(*snapshot.Group) {}, true},
		{
			"leader isn't ready", func(g *snapshot.Group) { g.Leader.Status.Conditions[1].Status = corev1.ConditionFalse },
			false,
		},
		{"leader has no conditions yet", func(g *snapshot.Group) { g.Leader.Status.Conditions = nil }, false},
		{"leader is terminating", func(g *snapshot.Group) { g.Leader.DeletionTimestamp = &metav1.Time{} }, false},
		{"there are no workers", func(g *snapshot.Group) { g.Workers = nil }, false},
		{"workers are terminating", func(g *snapshot.Group) { g.Workers.DeletionTimestamp = &metav1.Time{} }, false},
		{"workers are of another revision", func(g *snapshot.Group) { g.Workers.Labels = nil }, false},
		{"a worker isn't ready", func(g *snapshot.Group) { g.Workers.Status.ReadyReplicas = 1 }, false},
		{"one worker too many is ready", func(g *snapshot.Group) { g.Workers.Status.ReadyReplicas = 3 }, false},
		{"fewer workers in the spec", func(g *snapshot.Group) {
			g.Workers.Spec.Replicas = ptr.To[int32](1)
			g.Workers.Status.ReadyReplicas = 1
		}, false},
		{"the last change of workers isn't observed", func(g *snapshot.Group) {
			g.Workers.Status.ObservedGeneration = 1
		}, false},
		{"a pass counted fewer workers than the status", func(g *snapshot.Group) {
			g.Observed = &snapshot.Observation{ReadyWorkers: 1}
		}, false},
		{"a pass counted all workers before the status", func(g *snapshot.Group) {
			g.Workers.Status.ReadyReplicas = 0
			g.Observed = &snapshot.Observation{ReadyWorkers: 2}
		}, true},
		{
			"a group of 1 needs no workers",
			func(g *snapshot.Group) {
				g.Leader.Annotations[leaderworkersetv1.SizeAnnotationKey] = "1"
				g.Workers = nil
			}, true,
		},
		{
			"a worker StatefulSet without replicas has 1",
			func(g *snapshot.Group) {
				g.Leader.Annotations[leaderworkersetv1.SizeAnnotationKey] = "2"
				g.Workers.Spec.Replicas = nil
				g.Workers.Status.ReadyReplicas = 1
			}, true,
		},
	} {
		group := readyGroup()
		tc.change(&group)
		if got := group.Ready(); got != tc.want {
			t.Errorf("%s: Ready() is %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestAddObservations checks that the observation of a leader that was replaced since isn't used.
func TestAddObservations(t *testing.T) {
	present, replaced := readyGroup(), readyGroup()
	present.Leader.UID, replaced.Index, replaced.Leader.UID = "1", 1, "3"
	set := snapshot.Set{Groups: []snapshot.Group{present, replaced}}
	set.AddObservations(map[int32]snapshot.Observation{
		0: {Leader: "1", ReadyWorkers: 1}, 1: {Leader: "2", ReadyWorkers: 1},
	})
	for index, want := range []int32{1, 2} {
		if got := set.Groups[index].ReadyWorkers(); got != want {
			t.Errorf("group %d has %d ready workers, want %d", index, got, want)
		}
	}
}

func TestLeaderSize(t *testing.T) {
	for value, want := range map[string]int32{"": 1, "4": 4, "0": 1, "-3": 1, "four": 1, "99999999999": 1} {
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{leaderworkersetv1.SizeAnnotationKey: value},
		}}
		if got := (snapshot.Group{Leader: leader}).Size(); got != want {
			t.Errorf("size %q is %d, want %d", value, got, want)
		}
	}
}

func TestOwnedGroups(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: named("llama", "set", "")}
	leaders := &appsv1.StatefulSet{ObjectMeta: named("llama", "leaders", "set")}
	pods := []*corev1.Pod{
		{ObjectMeta: named("llama-10", "ten", "leaders")},
		{ObjectMeta: named("llama-2", "two", "leaders")},
		{ObjectMeta: named("llama-0", "zero", "leaders")},
		{ObjectMeta: named("llama-1", "one", "")},          // Orphaned.
		{ObjectMeta: named("llama-3", "three", "earlier")}, // Of an earlier set of the same name.
		{ObjectMeta: named("debug", "debug", "leaders")},
		{ObjectMeta: named("llama-x-4", "four", "leaders")},
	}
	workers := []*appsv1.StatefulSet{
		{ObjectMeta: named("llama-2", "w2", "two")},
		{ObjectMeta: named("llama-0", "w0", "earlier leader")},
		{ObjectMeta: named("llama-1", "w1", "one")},
	}
	type group struct {
		Index           int32
		Leader, Workers types.UID
	}
	var got []group
	for _, g := range snapshot.OwnedGroups(lws, leaders, pods, workers) {
		one := group{Index: g.Index, Leader: g.Leader.UID}
		if g.Workers != nil {
			one.Workers = g.Workers.UID
		}
		got = append(got, one)
	}
	want := []group{{0, "zero", ""}, {2, "two", "w2"}, {10, "ten", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}

	if got := snapshot.OwnedGroups(lws, nil, pods, workers); len(got) > 0 {
		t.Errorf("%d groups without a leader StatefulSet, want none", len(got))
	}
	lws.UID = "a new set of the same name"
	if got := snapshot.OwnedGroups(lws, leaders, pods, workers); len(got) > 0 {
		t.Errorf("%d groups of another set, want none", len(got))
	}
}

func TestOwnedRevisions(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: named("llama", "set", "")}
	var names []string
	for _, revision := range snapshot.OwnedRevisions(lws, []*appsv1.ControllerRevision{
		{ObjectMeta: named("c", "", "set"), Revision: 12},
		{ObjectMeta: named("a", "", "set"), Revision: 2},
		{ObjectMeta: named("b", "", "earlier"), Revision: 3},
		{ObjectMeta: named("d", "", ""), Revision: 4},
	}) {
		names = append(names, revision.Name)
	}
	if want := []string{"a", "c"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestBudget(t *testing.T) {
	for _, tc := range []struct {
		replicas                   int32
		maxSurge, maxUnavailable   intstr.IntOrString
		wantSurge, wantUnavailable int32
	}{
		{4, intstr.FromInt32(0), intstr.FromInt32(1), 0, 1},
		{4, intstr.FromInt32(2), intstr.FromInt32(0), 2, 0},
		{4, intstr.FromInt32(9), intstr.FromInt32(9), 4, 9},
		{5, intstr.FromString("10%"), intstr.FromString("10%"), 1, 0},
		{5, intstr.FromString("30%"), intstr.FromString("30%"), 2, 1},
		{5, intstr.FromString("100%"), intstr.FromString("100%"), 5, 5},
		{5, intstr.FromString("9999%"), intstr.FromString("0%"), 5, 0},
		{5, intstr.FromString("0%"), intstr.FromString("10%"), 0, 1}, // Otherwise no group could be updated.
		{0, intstr.FromInt32(1), intstr.FromInt32(1), 0, 1},
		{0, intstr.FromString("25%"), intstr.FromString("25%"), 0, 1},
		{1000000, intstr.FromString("9999%"), intstr.FromString("100%"), 1000000, 1000000},
		// Values that the schema refuses, and that older versions may have stored.
		{5, intstr.FromString("many"), intstr.FromString(""), 0, 1},
		{5, intstr.FromInt32(-1), intstr.FromInt32(-1), 0, 1},
		{1000, intstr.FromString("4000000000%"), intstr.FromString("4000000000%"), 1000, 2147483647},
	} {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		lws.Spec.Replicas = ptr.To(tc.replicas)
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
			MaxSurge: &tc.maxSurge, MaxUnavailable: &tc.maxUnavailable,
		}
		surge, unavailable := snapshot.Budget(lws)
		if surge != tc.wantSurge || unavailable != tc.wantUnavailable {
			t.Errorf("%d replicas, maxSurge %s, maxUnavailable %s: got %d and %d, want %d and %d",
				tc.replicas, tc.maxSurge.String(), tc.maxUnavailable.String(),
				surge, unavailable, tc.wantSurge, tc.wantUnavailable)
		}
	}
}

func TestGroupMembers(t *testing.T) {
	members := func(change func(*snapshot.GroupMembers)) *snapshot.GroupMembers {
		m := &snapshot.GroupMembers{
			LWS:     &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: named("llama", "set", "")},
			Leaders: &appsv1.StatefulSet{ObjectMeta: named("llama", "leaders", "set")},
			Leader:  &corev1.Pod{ObjectMeta: named("llama-1", "leader", "leaders")},
			Workers: &appsv1.StatefulSet{ObjectMeta: named("llama-1", "workers", "leader")},
			WorkerPods: []*corev1.Pod{
				{ObjectMeta: named("llama-1-1", "1", "workers")}, {ObjectMeta: named("llama-1-2", "2", "earlier")},
			},
		}
		change(m)
		return m
	}
	for _, tc := range []struct {
		name         string
		change       func(*snapshot.GroupMembers)
		belongs, own bool
		previous     int
	}{
		{"all exist", func(*snapshot.GroupMembers) {}, true, true, 1},
		{"none exists", func(m *snapshot.GroupMembers) { *m = snapshot.GroupMembers{} }, false, false, 0},
		{"no set", func(m *snapshot.GroupMembers) { m.LWS = nil }, false, true, 1},
		{"another set", func(m *snapshot.GroupMembers) { m.LWS.UID = "new" }, false, true, 1},
		{"no leader StatefulSet", func(m *snapshot.GroupMembers) { m.Leaders = nil }, false, true, 1},
		{"no leader", func(m *snapshot.GroupMembers) { m.Leader = nil }, false, false, 2},
		{"another leader", func(m *snapshot.GroupMembers) { m.Leader.UID = "new" }, true, false, 2},
		{"no workers", func(m *snapshot.GroupMembers) { m.Workers = nil }, true, false, 2},
	} {
		m := members(tc.change)
		if got := m.Belongs(); got != tc.belongs {
			t.Errorf("%s: Belongs() is %t, want %t", tc.name, got, tc.belongs)
		}
		if got := m.OwnWorkers() != nil; got != tc.own {
			t.Errorf("%s: OwnWorkers() returns workers: %t, want %t", tc.name, got, tc.own)
		}
		if got := len(m.PreviousWorkers()); got != tc.previous {
			t.Errorf("%s: PreviousWorkers() is %d, want %d", tc.name, got, tc.previous)
		}
	}
}
