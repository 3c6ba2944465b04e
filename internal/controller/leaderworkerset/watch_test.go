// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/randfill"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// part is the metadata of an object of set "llama": labels are pairs of a label without its prefix and its value.
func part(name string, labels ...string) metav1.ObjectMeta {
	all := map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	for pair := range slices.Chunk(labels, 2) {
		all[leaderworkersetv1.MetadataPrefix+pair[0]] = pair[1]
	}
	return metav1.ObjectMeta{Name: name, Namespace: "default", Labels: all}
}

func leaderOf(group int32) *corev1.Pod {
	name := fmt.Sprintf("llama-%d", group)
	return &corev1.Pod{ObjectMeta: part(name, "group-index", strconv.Itoa(int(group)), "worker-index", "0")}
}

func workerOf(group, worker int32) *corev1.Pod {
	name := fmt.Sprintf("llama-%d-%d", group, worker)
	return &corev1.Pod{ObjectMeta: part(name, "group-index", strconv.Itoa(int(group)), "worker-index", strconv.Itoa(int(worker)))}
}

func TestIndexes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		index client.IndexerFunc
		of    client.Object
		want  []string
	}{
		{"leader of a set", indexLeadersOfSet, leaderOf(1), []string{"llama"}},
		{"worker is no leader", indexLeadersOfSet, workerOf(1, 2), nil},
		{"pod without labels is no leader", indexLeadersOfSet, &corev1.Pod{}, nil},
		{"worker StatefulSet of a set", indexWorkersOfSet, &appsv1.StatefulSet{ObjectMeta: part("llama-1", "group-index", "1")}, []string{"llama"}},
		{"leader StatefulSet is no workers'", indexWorkersOfSet, &appsv1.StatefulSet{ObjectMeta: part("llama")}, nil},
		{"worker of a group", indexWorkersOfGroup, workerOf(1, 2), []string{"llama-1"}},
		{"leader is no worker", indexWorkersOfGroup, leaderOf(1), nil},
		{"pod without a group", indexWorkersOfGroup, &corev1.Pod{ObjectMeta: part("debug")}, nil},
		{"pod of a group that isn't one", indexWorkersOfGroup, &corev1.Pod{ObjectMeta: part("debug", "group-index", "one")}, nil},
		{"revision of a set", indexRevisionsOfSet, &appsv1.ControllerRevision{ObjectMeta: part("llama-abc-1")}, []string{"llama"}},
		{"revision of a StatefulSet", indexRevisionsOfSet, statefulSetRevision(), nil},
	} {
		if diff := cmp.Diff(tc.want, tc.index(tc.of)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// recordingQueue remembers what was added, and when it is due.
type recordingQueue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	added []string
}

func (q *recordingQueue) AddAfter(request reconcile.Request, delay time.Duration) {
	q.added = append(q.added, fmt.Sprintf("%s in %s", request, delay))
}

// updated delivers an update as the watch does: through the predicates, then to the handler.
func updated[T client.Object](t *testing.T, q *recordingQueue, to handler.TypedEventHandler[T, reconcile.Request], before, after T, predicates ...predicate.TypedPredicate[T]) {
	t.Helper()
	update := event.TypedUpdateEvent[T]{ObjectOld: before, ObjectNew: after}
	for _, passes := range predicates {
		if !passes.Update(update) {
			return
		}
	}
	to.Update(t.Context(), update, q)
}

func setOfSize(groups, size int32) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default"}}
	lws.Spec.Replicas, lws.Spec.LeaderWorkerTemplate.Size = &groups, &size
	return lws
}

func TestAMomentGrowsWithTheSet(t *testing.T) {
	for _, tc := range []struct {
		groups, size int32
		want         time.Duration
	}{
		{0, 4, 10 * time.Millisecond},
		{20, 4, 26 * time.Millisecond},
		{100, 4, 90 * time.Millisecond},
		{2, 700, 290 * time.Millisecond},
		{613, 4, 500 * time.Millisecond},
		{math.MaxInt32, math.MaxInt32, 500 * time.Millisecond},
	} {
		lws := setOfSize(tc.groups, tc.size)
		for of, got := range map[string]time.Duration{
			"set":  aMoment[*leaderworkersetv1.LeaderWorkerSet](cacheOf(t))(t.Context(), lws),
			"part": aMoment[*corev1.Pod](cacheOf(t, lws))(t.Context(), workerOf(1, 2)),
		} {
			if got != tc.want {
				t.Errorf("%d groups of %d: the %s waits %s, want %s", tc.groups, tc.size, of, got, tc.want)
			}
		}
	}
	if got := aMoment[*corev1.Pod](cacheOf(t))(t.Context(), workerOf(1, 2)); got != 500*time.Millisecond {
		t.Errorf("a set that is gone: waits %s, want 500ms", got)
	}
}

func TestEnqueue(t *testing.T) {
	reader := cacheOf(t, setOfSize(20, 4))
	sets, groups, concerned := enqueueSet(aMoment[client.Object](reader)), enqueueGroup(atOnce[client.Object]), enqueueGroups[client.Object]()
	foreign := &appsv1.StatefulSet{ObjectMeta: part("other-1")}
	nameOfASet := &appsv1.StatefulSet{ObjectMeta: part("llama-7")}
	nameOfASet.Labels[leaderworkersetv1.SetNameLabelKey] = nameOfASet.Name
	for _, tc := range []struct {
		name string
		to   handler.TypedEventHandler[client.Object, reconcile.Request]
		of   client.Object
		want []string
	}{
		{"the set of a pod, a moment later", sets, leaderOf(1), []string{"default/llama in 26ms"}},
		{"the set of a StatefulSet", sets, &appsv1.StatefulSet{ObjectMeta: part("llama")}, []string{"default/llama in 26ms"}},
		{"the group of a leader", groups, leaderOf(1), []string{"default/llama-1 in 0s"}},
		{"the group of a worker", groups, workerOf(1, 2), []string{"default/llama-1 in 0s"}},
		{"the group of a Service", concerned, &corev1.Service{ObjectMeta: part("llama-1", "group-index", "1")}, []string{"default/llama-1 in 0s"}},
		{"no group of the leader StatefulSet", concerned, &appsv1.StatefulSet{ObjectMeta: part("llama")}, nil},
		{"the group that the StatefulSet of a set is in the way of", concerned, nameOfASet, []string{"default/llama-7 in 0s"}},
		{"the group that a StatefulSet without a group is in the way of", concerned, &appsv1.StatefulSet{ObjectMeta: part("llama-1")}, []string{"default/llama-1 in 0s"}},
		{"the group of another set that a StatefulSet is in the way of", concerned, foreign, []string{"default/other-1 in 0s"}},
		{
			"both groups", concerned, &appsv1.StatefulSet{ObjectMeta: part("other-1", "group-index", "2")},
			[]string{"default/llama-2 in 0s", "default/other-1 in 0s"},
		},
	} {
		for kind, deliver := range map[string]func(*recordingQueue){
			"creation": func(q *recordingQueue) { tc.to.Create(t.Context(), event.CreateEvent{Object: tc.of}, q) },
			"deletion": func(q *recordingQueue) { tc.to.Delete(t.Context(), event.DeleteEvent{Object: tc.of}, q) },
			"news":     func(q *recordingQueue) { tc.to.Generic(t.Context(), event.GenericEvent{Object: tc.of}, q) },
		} {
			q := &recordingQueue{}
			deliver(q)
			if diff := cmp.Diff(tc.want, q.added); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tc.name, kind, diff)
			}
		}
	}
}

func TestGone(t *testing.T) {
	passes := gone[*corev1.Pod]()
	if !passes.Delete(event.TypedDeleteEvent[*corev1.Pod]{}) {
		t.Error("a deletion doesn't pass")
	}
	if passes.Create(event.TypedCreateEvent[*corev1.Pod]{}) || passes.Update(event.TypedUpdateEvent[*corev1.Pod]{}) || passes.Generic(event.TypedGenericEvent[*corev1.Pod]{}) {
		t.Error("something passes that isn't a deletion")
	}
}

func TestAnUpdateConcernsBothGroups(t *testing.T) {
	q := &recordingQueue{}
	updated(t, q, enqueueGroup(atOnce[*corev1.Pod]), leaderOf(1), leaderOf(2))
	if diff := cmp.Diff([]string{"default/llama-1 in 0s", "default/llama-2 in 0s"}, q.added); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestTheLastWorkerThatIsGoneDoesNotWait(t *testing.T) {
	// What is gone isn't in the cache any more: worker 2 of group 1, the only ones of groups 2 and 3.
	q, to := &recordingQueue{}, enqueueGroupOfWorkers(cacheOf(t, setOfSize(20, 4), workerOf(1, 1)))
	to.Create(t.Context(), event.TypedCreateEvent[*corev1.Pod]{Object: workerOf(1, 2)}, q)
	updated(t, q, to, workerOf(2, 2), workerOf(2, 2))
	to.Delete(t.Context(), event.TypedDeleteEvent[*corev1.Pod]{Object: workerOf(1, 2)}, q)
	to.Delete(t.Context(), event.TypedDeleteEvent[*corev1.Pod]{Object: workerOf(3, 1)}, q)
	want := []string{"default/llama-1 in 26ms", "default/llama-2 in 26ms", "default/llama-1 in 26ms", "default/llama-3 in 0s"}
	if diff := cmp.Diff(want, q.added); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestLifeChanged(t *testing.T) {
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
		{"started, and the set waits for it", afterStart, pod(corev1.PodPending, 0), pod(corev1.PodRunning, 0), true},
		{"started with a restart", setOfSize(20, 4), pod(corev1.PodPending, 0), pod(corev1.PodRunning, 1), true},
		{"failed", setOfSize(20, 4), pod(corev1.PodRunning, 0), pod(corev1.PodFailed, 0), true},
		{"succeeded", setOfSize(20, 4), pod(corev1.PodRunning, 0), pod(corev1.PodSucceeded, 0), true},
		{"the same", afterStart, pod(corev1.PodRunning, 0), pod(corev1.PodRunning, 0), false},
	} {
		passes := lifeChanged(cacheOf(t, tc.set)).Update(event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: tc.before, ObjectNew: tc.after})
		if passes != tc.want {
			t.Errorf("%s: has the group looked at: %t, want %t", tc.name, passes, tc.want)
		}
	}
}

func TestFailedPod(t *testing.T) {
	failed, running := workerOf(1, 2), workerOf(1, 2)
	failed.Status.Phase, running.Status.Phase = corev1.PodFailed, corev1.PodRunning
	for _, pod := range []*corev1.Pod{failed, running} {
		passes := failedPod().Update(event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: running, ObjectNew: pod})
		if want := pod == failed; passes != want {
			t.Errorf("a pod that is %s doesn't wait: %t, want %t", pod.Status.Phase, passes, want)
		}
	}
}

func TestAWishConcernsAllGroups(t *testing.T) {
	stranger := leaderOf(7)
	stranger.Labels[leaderworkersetv1.SetNameLabelKey] = "other"
	reader := cacheOf(t, leaderOf(0), leaderOf(1), workerOf(0, 1), stranger)
	q := &recordingQueue{}
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: part("llama")}
	enqueueGroupsOf(reader).Create(t.Context(), event.TypedCreateEvent[*leaderworkersetv1.LeaderWorkerSet]{Object: lws}, q)
	if diff := cmp.Diff([]string{"default/llama-0 in 0s", "default/llama-1 in 0s"}, q.added); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// TestUnrelatedEventsEnqueueNothing has a busy cluster change what no pass reads.
func TestUnrelatedEventsEnqueueNothing(t *testing.T) {
	q, reader := &recordingQueue{}, cacheOf(t, setOfSize(20, 4))
	leader, worker := leaderOf(1), workerOf(1, 2)
	leaders := &appsv1.StatefulSet{ObjectMeta: part("llama")}
	service := &corev1.Service{ObjectMeta: part("llama")}
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: part("llama")}
	for i := range 1000 {
		version := strconv.Itoa(i)
		pod := leader.DeepCopy()
		pod.ResourceVersion = version
		pod.Annotations = map[string]string{"sidecar": version}
		pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: version}}
		pod.Status.PodIP = version
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: version}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Message: version}}
		before, after := trimmed(t, trimPod, leader), trimmed(t, trimPod, pod)
		updated(t, q, enqueueSet(atOnce[*corev1.Pod]), before, after, isLeaderPod(), podChanged())
		updated(t, q, enqueueGroup(atOnce[*corev1.Pod]), before, after, podChanged())

		ready := worker.DeepCopy()
		ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		updated(t, q, enqueueSet(atOnce[*corev1.Pod]), worker, ready, isLeaderPod())
		before, after = trimmed(t, trimPod, worker), trimmed(t, trimPod, ready)
		updated(t, q, enqueueGroupOfWorkers(reader), before, after, predicate.Not(isLeaderPod()), lifeChanged(reader))

		sts := leaders.DeepCopy()
		sts.ResourceVersion, sts.Status.UpdateRevision, sts.Status.AvailableReplicas = version, version, int32(i)
		updated(t, q, enqueueSet(atOnce[*appsv1.StatefulSet]), trimmed(t, trimStatefulSet, leaders), trimmed(t, trimStatefulSet, sts), somethingWeUseChanged[*appsv1.StatefulSet]())
		scaled := sts.DeepCopy()
		scaled.Spec.Replicas = ptr.To(int32(i))
		updated(t, q, enqueueGroups[*appsv1.StatefulSet](), sts, scaled)

		exposed := service.DeepCopy()
		exposed.ResourceVersion, exposed.Spec.ClusterIPs = version, []string{version}
		updated(t, q, enqueueSet(atOnce[*corev1.Service]), trimmed(t, trimService, service), trimmed(t, trimService, exposed), somethingWeUseChanged[*corev1.Service]())

		status := lws.DeepCopy()
		status.ResourceVersion, status.Status.Replicas = version, int32(i)
		updated(t, q, enqueueSet(atOnce[*leaderworkersetv1.LeaderWorkerSet]), lws, status, wishChanged())
	}
	if len(q.added) > 0 {
		t.Errorf("%d passes are started, the first of %s", len(q.added), q.added[0])
	}
}

func trimmed[T client.Object](t *testing.T, trim func(any) (any, error), object T) T {
	t.Helper()
	result, err := trim(object)
	if err != nil {
		t.Fatal(err)
	}
	kept, isObject := result.(T)
	if !isObject {
		t.Fatalf("trimmed to a %T", result)
	}
	return kept
}

func TestWishChanged(t *testing.T) {
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
		got := wishChanged().Update(event.TypedUpdateEvent[*set]{ObjectOld: before, ObjectNew: after})
		if got != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestStatusOfStatefulSets has a StatefulSet's status start no pass over groups, and only that start a pass over the set at once which says
// that its controller has seen the last change.
func TestStatusOfStatefulSets(t *testing.T) {
	type statefulSet = appsv1.StatefulSet
	for _, tc := range []struct {
		name           string
		change         func(*statefulSet)
		groups, atOnce bool
	}{
		{"nothing", func(*statefulSet) {}, false, false},
		{"ready replicas", func(s *statefulSet) { s.Status.ReadyReplicas++ }, false, false},
		{"a change", func(s *statefulSet) { s.Generation++ }, true, false},
		{"a change seen by its controller", func(s *statefulSet) { s.Status.ObservedGeneration++ }, false, true},
		{"a change of workers seen by their controller", func(s *statefulSet) {
			s.Labels[leaderworkersetv1.GroupIndexLabelKey] = "1"
			s.Status.ObservedGeneration++
		}, true, false},
		{"labels", func(s *statefulSet) { s.Labels["team"] = "inference" }, true, false},
		{"deletion", func(s *statefulSet) { s.DeletionTimestamp = ptr.To(metav1.Now()) }, true, false},
	} {
		before := &statefulSet{ObjectMeta: part("llama-1")}
		after := before.DeepCopy()
		tc.change(after)
		update := event.TypedUpdateEvent[*statefulSet]{ObjectOld: before, ObjectNew: after}
		if got := moreThanStatusChanged().Update(update); got != tc.groups {
			t.Errorf("%s: starts a pass over groups: %t, want %t", tc.name, got, tc.groups)
		}
		if got := orderObserved().Update(update); got != tc.atOnce {
			t.Errorf("%s: starts a pass over the set at once: %t, want %t", tc.name, got, tc.atOnce)
		}
	}
}

func TestLeadersAppear(t *testing.T) {
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
		{"owned, not controlled", func(s *statefulSet) { s.OwnerReferences = []metav1.OwnerReference{{UID: "other"}} }, false},
		{"of a group", func(s *statefulSet) { s.UID, s.Labels[leaderworkersetv1.GroupIndexLabelKey] = "new", "1" }, false},
	} {
		after := leaders.DeepCopy()
		tc.change(after)
		if got := leadersAppear().Update(event.TypedUpdateEvent[*statefulSet]{ObjectOld: leaders, ObjectNew: after}); got != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestSomethingWeUseChanged(t *testing.T) {
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
		got := somethingWeUseChanged[*statefulSet]().Update(event.TypedUpdateEvent[*statefulSet]{ObjectOld: before, ObjectNew: after})
		if got != tc.want {
			t.Errorf("%s: passes: %t, want %t", tc.name, got, tc.want)
		}
		if before.ResourceVersion != "1" {
			t.Errorf("%s: the cache's object was changed", tc.name)
		}
	}
	if !somethingWeUseChanged[*statefulSet]().Create(event.TypedCreateEvent[*statefulSet]{}) {
		t.Error("creations are dropped")
	}
}

// TestPodChanged takes away everything that the cache keeps of a pod, one thing after the other: each is noticed, but for what never changes
// and the grace period, which no pass reads.
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
	filled.Status.InitContainerStatuses[0].RestartCount, filled.Status.ContainerStatuses[0].RestartCount = 1, 2
	before := trimmed(t, trimPod, filled)
	if passes(before, before.DeepCopy()) {
		t.Error("a resync passes")
	}
	unnoticed := []string{}
	withoutEach(before, func(path string, after *corev1.Pod) {
		if !passes(before, after) || !passes(after, before) {
			unnoticed = append(unnoticed, path)
		}
	})
	want := []string{
		".ObjectMeta.CreationTimestamp", ".ObjectMeta.DeletionGracePeriodSeconds", ".ObjectMeta.GenerateName", ".ObjectMeta.Name",
		".ObjectMeta.Namespace", ".ObjectMeta.ResourceVersion", ".ObjectMeta.SelfLink",
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(unnoticed))); diff != "" {
		t.Errorf("changes that are dropped (-want +got):\n%s", diff)
	}
	if !podChanged().Create(event.TypedCreateEvent[*corev1.Pod]{Object: before}) {
		t.Error("creations are dropped")
	}
}

// withoutEach calls the function with copies of a pod that each lack one thing: a value, an entry of a map or an item of a list.
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

// fullPod is a leader with what passes read of a pod, and nothing else.
func fullPod() *corev1.Pod {
	full := leaderOf(1)
	full.UID, full.ResourceVersion, full.DeletionTimestamp = types.UID("uid"), "7", &metav1.Time{}
	full.Labels[appsv1.StatefulSetRevisionLabel] = "llama-5d4f8c"
	full.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", UID: "leaders", Controller: ptr.To(true)}}
	full.Annotations = map[string]string{leaderworkersetv1.SizeAnnotationKey: "2", leaderworkersetv1.ExclusiveKeyAnnotationKey: "rack"}
	full.Spec.NodeName = "n1"
	full.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.PreviousGroupSchedulingGate}, {Name: "example.com/other"}}
	full.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available"},
	}
	full.Status.Phase, full.Status.Reason = corev1.PodFailed, "Evicted"
	full.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "load", RestartCount: 1}}
	full.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: 2}}
	return full
}

func TestTrimPodKeepsWhatIsRead(t *testing.T) {
	full := fullPod()
	want := full.DeepCopy()

	full.Labels["app"], full.Annotations["note"] = "x", "y"
	full.ManagedFields = []metav1.ManagedFieldsEntry{{}}
	full.Spec.Containers = []corev1.Container{{Name: "main"}}
	full.Status.PodIP = "10.0.0.1"
	full.Status.Conditions[0].Message = "since a while"
	full.Status.Conditions = append(full.Status.Conditions, corev1.PodCondition{Type: corev1.PodInitialized})
	full.Status.ContainerStatuses[0].Image = "serve:1"
	full.Status.ContainerStatuses = append(full.Status.ContainerStatuses, corev1.ContainerStatus{Name: "sidecar"})
	before := full.DeepCopy()
	if diff := cmp.Diff(want, trimmed(t, trimPod, full)); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, full); diff != "" {
		t.Errorf("the pod was changed in place (-before +after):\n%s", diff)
	}
	delete(full.Annotations, leaderworkersetv1.ExclusiveKeyAnnotationKey)
	if got := trimmed(t, trimPod, full).Spec.NodeName; got != "" {
		t.Errorf("node %q is kept without exclusive placement, which alone asks for it", got)
	}
}

func TestTrimStatefulSetKeepsWhatIsRead(t *testing.T) {
	spec := appsv1.StatefulSetSpec{
		Replicas:             ptr.To[int32](3),
		ServiceName:          "llama",
		Template:             corev1.PodTemplateSpec{Spec: corev1.PodSpec{Hostname: "h"}},
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{}},
		UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)}},
	}
	workersSpec := *spec.DeepCopy()
	workersSpec.Template, workersSpec.VolumeClaimTemplates = corev1.PodTemplateSpec{}, nil
	for _, tc := range []struct {
		meta metav1.ObjectMeta
		want appsv1.StatefulSetSpec
	}{
		{part("llama"), spec}, // Its template is compared, and patched.
		{part("llama-1", "group-index", "1"), workersSpec},
	} {
		full := &appsv1.StatefulSet{ObjectMeta: tc.meta, Spec: spec}
		full.Generation = 4
		want := full.DeepCopy()
		want.Spec = tc.want
		want.Status = appsv1.StatefulSetStatus{ObservedGeneration: 4, ReadyReplicas: 2, CurrentRevision: "x"}

		full.ManagedFields = []metav1.ManagedFieldsEntry{{}}
		full.Status = appsv1.StatefulSetStatus{ObservedGeneration: 4, ReadyReplicas: 2, Replicas: 3, CurrentRevision: "x", UpdateRevision: "y", AvailableReplicas: 1}
		if diff := cmp.Diff(want, trimmed(t, trimStatefulSet, full)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.meta.Name, diff)
		}
	}
}

// statefulSetRevision is what the StatefulSet controller keeps of the leader StatefulSet.
func statefulSetRevision() *appsv1.ControllerRevision {
	revision := &appsv1.ControllerRevision{ObjectMeta: part("llama-5d4f8c", "worker-index", "0", "template-revision-hash", "abc")}
	revision.Labels[statefulSetRevisionLabel] = "5d4f8c"
	return revision
}

func TestTrimRevisionKeepsWhatIsRead(t *testing.T) {
	data := runtime.RawExtension{Raw: []byte("{}")}
	ofSet := &appsv1.ControllerRevision{ObjectMeta: part("llama-abc-1"), Data: data, Revision: 3}
	if diff := cmp.Diff(ofSet, trimmed(t, trimRevision, ofSet)); diff != "" {
		t.Errorf("of a LeaderWorkerSet (-want +got):\n%s", diff)
	}
	ofStatefulSet := statefulSetRevision()
	ofStatefulSet.Data, ofStatefulSet.Annotations = data, map[string]string{"note": "of the StatefulSet"}
	if diff := cmp.Diff(statefulSetRevision(), trimmed(t, trimRevision, ofStatefulSet)); diff != "" {
		t.Errorf("of a StatefulSet (-want +got):\n%s", diff)
	}
}

func TestTrimServiceKeepsWhatIsRead(t *testing.T) {
	full := &corev1.Service{
		ObjectMeta: part("llama"), Spec: corev1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"app": "x"}},
	}
	full.UID, full.OwnerReferences = "uid", []metav1.OwnerReference{{UID: "set"}}
	want := full.DeepCopy()
	full.Spec.ClusterIPs = []string{"None"}
	full.ManagedFields = []metav1.ManagedFieldsEntry{{}}
	if diff := cmp.Diff(want, trimmed(t, trimService, full)); diff != "" {
		t.Errorf("Service (-want +got):\n%s", diff)
	}
}

// TestTrimPassesOnWhatItDoesNotKnow: informers also deliver tombstones.
func TestTrimPassesOnWhatItDoesNotKnow(t *testing.T) {
	for name, trim := range map[string]func(any) (any, error){"pod": trimPod, "StatefulSet": trimStatefulSet, "ControllerRevision": trimRevision, "Service": trimService} {
		if got, err := trim("tombstone"); err != nil || got != "tombstone" {
			t.Errorf("%s: got %v and error %v", name, got, err)
		}
	}
}
