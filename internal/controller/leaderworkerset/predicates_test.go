// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/randfill"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

func TestDeletionsOnly(t *testing.T) {
	passes := deletionsOnly[*corev1.Pod]()
	if !passes.Delete(event.TypedDeleteEvent[*corev1.Pod]{}) {
		t.Error("a deletion doesn't pass")
	}
	if passes.Create(event.TypedCreateEvent[*corev1.Pod]{}) ||
		passes.Update(event.TypedUpdateEvent[*corev1.Pod]{}) ||
		passes.Generic(event.TypedGenericEvent[*corev1.Pod]{}) {
		t.Error("something passes that isn't a deletion")
	}
}

func TestWorkerChanged(t *testing.T) {
	afterStart := setOfSize(20, 4)
	afterStart.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.RecreateGroupAfterStart
	pod := func(phase corev1.PodPhase, restarts int32) *corev1.Pod {
		worker := workerOf(1, 2)
		worker.Status.Phase = phase
		worker.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: restarts}}
		return worker
	}
	for _, tc := range []struct {
		name   string
		set    *leaderworkersetv1.LeaderWorkerSet
		before *corev1.Pod
		after  *corev1.Pod
		want   bool
	}{
		{"started", setOfSize(20, 4), pod(corev1.PodPending, 0), pod(corev1.PodRunning, 0), false},
		{"started, and the set restarts after it", afterStart, pod(corev1.PodPending, 0), pod(corev1.PodRunning, 0), true},
		{"started with a restart", setOfSize(20, 4), pod(corev1.PodPending, 0), pod(corev1.PodRunning, 1), true},
		{"failed", setOfSize(20, 4), pod(corev1.PodRunning, 0), pod(corev1.PodFailed, 0), true},
		{"succeeded", setOfSize(20, 4), pod(corev1.PodRunning, 0), pod(corev1.PodSucceeded, 0), true},
		{"the same", afterStart, pod(corev1.PodRunning, 0), pod(corev1.PodRunning, 0), false},
	} {
		update := event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: tc.before, ObjectNew: tc.after}
		if passes := workerChanged(cacheOf(t, tc.set)).Update(update); passes != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, passes, tc.want)
		}
	}
}

func TestFailedPodsOnly(t *testing.T) {
	failed, running := workerOf(1, 2), workerOf(1, 2)
	failed.Status.Phase, running.Status.Phase = corev1.PodFailed, corev1.PodRunning
	for _, pod := range []*corev1.Pod{failed, running} {
		passes := failedPodsOnly().Update(event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: running, ObjectNew: pod})
		if want := pod == failed; passes != want {
			t.Errorf("a pod that is %s: passes: %t, want %t", pod.Status.Phase, passes, want)
		}
	}
}

func TestSpecOrMetadataChanged(t *testing.T) {
	type set = leaderworkersetv1.LeaderWorkerSet
	for _, tc := range []struct {
		name   string
		change func(*set)
		want   bool
	}{
		{"nothing", func(*set) {}, false},
		{"status", func(s *set) { s.Status.Replicas = 3 }, false},
		{"finalizers", func(s *set) { s.Finalizers = []string{"x"} }, false},
		{"spec", func(s *set) { s.Generation++ }, true},
		{"labels", func(s *set) { s.Labels = map[string]string{"x": "y"} }, true},
		{"annotations", func(s *set) { s.Annotations = map[string]string{"x": "y"} }, true},
		{"deletion", func(s *set) { s.DeletionTimestamp = &metav1.Time{} }, true},
		{"another set of the same name", func(s *set) { s.UID = "new" }, true},
	} {
		before := &set{ObjectMeta: part("llama")}
		after := before.DeepCopy()
		tc.change(after)
		got := specOrMetadataChanged().Update(event.TypedUpdateEvent[*set]{ObjectOld: before, ObjectNew: after})
		if got != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestStatusOfStatefulSets checks that a StatefulSet's status starts no pass over groups.
func TestStatusOfStatefulSets(t *testing.T) {
	type statefulSet = appsv1.StatefulSet
	for _, tc := range []struct {
		name   string
		change func(*statefulSet)
		groups bool
	}{
		{"nothing", func(*statefulSet) {}, false},
		{"ready replicas", func(s *statefulSet) { s.Status.ReadyReplicas++ }, false},
		{"observed generation", func(s *statefulSet) { s.Status.ObservedGeneration++ }, false},
		{"a change", func(s *statefulSet) { s.Generation++ }, true},
		{"labels", func(s *statefulSet) { s.Labels["team"] = "inference" }, true},
		{"deletion", func(s *statefulSet) { s.DeletionTimestamp = ptr.To(metav1.Now()) }, true},
	} {
		before := &statefulSet{ObjectMeta: part("llama-1")}
		after := before.DeepCopy()
		tc.change(after)
		update := event.TypedUpdateEvent[*statefulSet]{ObjectOld: before, ObjectNew: after}
		if got := contentBesidesStatusChanged().Update(update); got != tc.groups {
			t.Errorf("%s: starts a pass over groups: %t, want %t", tc.name, got, tc.groups)
		}
	}
}

func TestLeadersCreatedOrAdopted(t *testing.T) {
	type statefulSet = appsv1.StatefulSet
	leaders := &statefulSet{ObjectMeta: part("llama")}
	for _, tc := range []struct {
		name   string
		change func(*statefulSet)
		want   bool
	}{
		{"nothing", func(*statefulSet) {}, false},
		{"spec", func(s *statefulSet) { s.Generation++ }, false},
		{"another one of the same name", func(s *statefulSet) { s.UID = "new" }, true},
		{"adopted", func(s *statefulSet) {
			s.OwnerReferences = []metav1.OwnerReference{{UID: "set", Controller: ptr.To(true)}}
		}, true},
		{"owned, not controlled", func(s *statefulSet) {
			s.OwnerReferences = []metav1.OwnerReference{{UID: "other"}}
		}, false},
		{"of a group", func(s *statefulSet) { s.UID, s.Labels[leaderworkersetv1.GroupIndexLabelKey] = "new", "1" }, false},
	} {
		after := leaders.DeepCopy()
		tc.change(after)
		update := event.TypedUpdateEvent[*statefulSet]{ObjectOld: leaders, ObjectNew: after}
		if got := leadersCreatedOrAdopted().Update(update); got != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestContentChanged(t *testing.T) {
	type statefulSet = appsv1.StatefulSet
	for _, tc := range []struct {
		name   string
		change func(*statefulSet)
		want   bool
	}{
		{"resource version only", func(s *statefulSet) { s.ResourceVersion = "2" }, false},
		{"spec", func(s *statefulSet) { s.Spec.Replicas = ptr.To[int32](3) }, true},
		{"status", func(s *statefulSet) { s.Status.ReadyReplicas++ }, true},
		{"owner", func(s *statefulSet) { s.OwnerReferences = []metav1.OwnerReference{{UID: "x"}} }, true},
		{"deletion", func(s *statefulSet) { s.DeletionTimestamp = &metav1.Time{} }, true},
		{"UID", func(s *statefulSet) { s.UID = "new" }, true},
	} {
		before := &statefulSet{ObjectMeta: part("llama")}
		before.ResourceVersion = "1"
		after := before.DeepCopy()
		tc.change(after)
		update := event.TypedUpdateEvent[*statefulSet]{ObjectOld: before, ObjectNew: after}
		if got := contentChanged[statefulSet]().Update(update); got != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, got, tc.want)
		}
		if before.ResourceVersion != "1" {
			t.Errorf("%s: the cache's object was changed", tc.name)
		}
	}
	if !contentChanged[statefulSet]().Create(event.TypedCreateEvent[*statefulSet]{}) {
		t.Error("creations are dropped")
	}
}

// TestGatedLeadersOnly checks that events of gated leaders pass, and those of other pods don't.
func TestGatedLeadersOnly(t *testing.T) {
	gated, running := leaderOf(1), leaderOf(1)
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.RestartSchedulingGate}}
	for _, pod := range []*corev1.Pod{gated, running} {
		passes := gatedLeadersOnly().Create(event.TypedCreateEvent[*corev1.Pod]{Object: pod})
		if want := pod == gated; passes != want {
			t.Errorf("gates %v: passes: %t, want %t", pod.Spec.SchedulingGates, passes, want)
		}
	}
}

// TestPodChanged removes each value that the cache keeps of a pod, one after the other. Each removal passes, except for
// fields that never change and the grace period, which no pass reads.
func TestPodChanged(t *testing.T) {
	passes := func(before, after *corev1.Pod) bool {
		return podChanged().Update(event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: before, ObjectNew: after})
	}
	filled := fullPod()
	randfill.NewWithSeed(1).NilChance(0).NumElements(1, 2).Fill(&filled.Spec)
	randfill.NewWithSeed(2).NilChance(0).NumElements(1, 2).Fill(&filled.Status)
	randfill.NewWithSeed(3).NilChance(0).NumElements(1, 2).Fill(&filled.ObjectMeta)
	maps.Copy(filled.Labels, fullPod().Labels)
	maps.Copy(filled.Annotations, fullPod().Annotations)
	filled.Status.Conditions = fullPod().Status.Conditions
	filled.Status.InitContainerStatuses = fullPod().Status.InitContainerStatuses
	filled.Status.ContainerStatuses, filled.Status.Phase = fullPod().Status.ContainerStatuses, corev1.PodFailed
	before := trimmed(t, trimPod, filled)
	if passes(before, before.DeepCopy()) {
		t.Error("a resync passes")
	}
	dropped := []string{}
	withoutEach(before, func(path string, after *corev1.Pod) {
		if !passes(before, after) || !passes(after, before) {
			dropped = append(dropped, path)
		}
	})
	want := []string{
		".ObjectMeta.CreationTimestamp", ".ObjectMeta.DeletionGracePeriodSeconds", ".ObjectMeta.GenerateName",
		".ObjectMeta.Name", ".ObjectMeta.Namespace", ".ObjectMeta.ResourceVersion", ".ObjectMeta.SelfLink",
		".Spec.SchedulingGroup",
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(dropped))); diff != "" {
		t.Errorf("changes that are dropped (-want +got):\n%s", diff)
	}
	if !podChanged().Create(event.TypedCreateEvent[*corev1.Pod]{Object: before}) {
		t.Error("creations are dropped")
	}
}

// withoutEach calls the function with copies of a pod that each lack one value, entry of a map or item of a list.
func withoutEach(pod *corev1.Pod, each func(path string, without *corev1.Pod)) {
	changed := pod.DeepCopy()
	var visit func(path string, value reflect.Value)
	try := func(path string, value, without reflect.Value) {
		kept := reflect.New(value.Type()).Elem()
		kept.Set(value)
		value.Set(without)
		each(path, changed.DeepCopy())
		value.Set(kept)
	}
	visit = func(path string, value reflect.Value) {
		_, isTime := reflect.TypeAssert[metav1.Time](value)
		switch {
		case value.IsZero():
		case value.Kind() == reflect.Struct && !isTime:
			for i := range value.NumField() {
				visit(path+"."+value.Type().Field(i).Name, value.Field(i))
			}
		case value.Kind() == reflect.Slice:
			try(path+"[-1]", value, value.Slice(0, value.Len()-1))
			for i := range value.Len() {
				visit(fmt.Sprintf("%s[%d]", path, i), value.Index(i))
			}
		case value.Kind() == reflect.Map:
			for _, key := range value.MapKeys() {
				without := reflect.MakeMap(value.Type())
				for _, other := range value.MapKeys() {
					if other.String() != key.String() {
						without.SetMapIndex(other, value.MapIndex(other))
					}
				}
				try(fmt.Sprintf("%s[%s]", path, key), value, without)
			}
		default:
			try(path, value, reflect.Zero(value.Type()))
		}
	}
	visit("", reflect.ValueOf(changed).Elem())
}
