// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// recordingQueue records the requests that are added, and their delays.
type recordingQueue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	added []string
}

func (q *recordingQueue) AddAfter(request reconcile.Request, delay time.Duration) {
	q.added = append(q.added, fmt.Sprintf("%s in %s", request, delay))
}

// updated delivers an update as a watch does: through the predicates to the handler.
func updated[T client.Object](
	t *testing.T, q *recordingQueue, to keysFunc, before, after T, predicates ...predicate.TypedPredicate[T],
) {
	t.Helper()
	update := event.TypedUpdateEvent[T]{ObjectOld: before, ObjectNew: after}
	for _, passes := range predicates {
		if !passes.Update(update) {
			return
		}
	}
	enqueue[T](to, immediately).Update(t.Context(), update, q)
}

func TestBatchDelayGrowsWithTheSet(t *testing.T) {
	batch := DefaultOptions().Batch
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
			"set":  batchDelay(cacheOf(t), batch)(t.Context(), objectChange{after: lws}),
			"part": batchDelay(cacheOf(t, lws), batch)(t.Context(), objectChange{before: workerOf(1, 2)}),
		} {
			if got != tc.want {
				t.Errorf("%d groups of %d: the %s waits %s, want %s", tc.groups, tc.size, of, got, tc.want)
			}
		}
	}
	got := batchDelay(cacheOf(t), batch)(t.Context(), objectChange{after: workerOf(1, 2)})
	if got != 500*time.Millisecond {
		t.Errorf("a set that no longer exists: waits %s, want 500ms", got)
	}
}

func TestEnqueue(t *testing.T) {
	reader := cacheOf(t, setOfSize(20, 4))
	sets := enqueue[client.Object](toSet, batchDelay(reader, DefaultOptions().Batch))
	groups := enqueue[client.Object](toGroup, immediately)
	labelOrName := enqueue[client.Object](toGroupsByLabelOrName, immediately)
	service := &corev1.Service{ObjectMeta: part("llama-1", "group-index", "1")}
	withoutGroup := &appsv1.StatefulSet{ObjectMeta: part("llama-1")}
	foreign := &appsv1.StatefulSet{ObjectMeta: part("other-1")}
	foreignWithGroup := &appsv1.StatefulSet{ObjectMeta: part("other-1", "group-index", "2")}
	nameOfASet := &appsv1.StatefulSet{ObjectMeta: part("llama-7")}
	nameOfASet.Labels[leaderworkersetv1.SetNameLabelKey] = nameOfASet.Name
	for _, tc := range []struct {
		name string
		to   handler.TypedEventHandler[client.Object, reconcile.Request]
		of   client.Object
		want []string
	}{
		{"the set of a pod, after the batch delay", sets, leaderOf(1), []string{"default/llama in 26ms"}},
		{"the set of a StatefulSet", sets, &appsv1.StatefulSet{ObjectMeta: part("llama")}, []string{"default/llama in 26ms"}},
		{"the group of a leader", groups, leaderOf(1), []string{"default/llama-1 in 0s"}},
		{"the group of a worker", groups, workerOf(1, 2), []string{"default/llama-1 in 0s"}},
		{"the group of a Service", labelOrName, service, []string{"default/llama-1 in 0s"}},
		{"no group of the leader StatefulSet", labelOrName, &appsv1.StatefulSet{ObjectMeta: part("llama")}, nil},
		{"the group with the name of another set", labelOrName, nameOfASet, []string{"default/llama-7 in 0s"}},
		{"the group with the name of a StatefulSet", labelOrName, withoutGroup, []string{"default/llama-1 in 0s"}},
		{"the group of another set with the name of a StatefulSet", labelOrName, foreign, []string{"default/other-1 in 0s"}},
		{
			"both groups", labelOrName, foreignWithGroup,
			[]string{"default/llama-2 in 0s", "default/other-1 in 0s"},
		},
	} {
		for kind, deliver := range map[string]func(*recordingQueue){
			"creation": func(q *recordingQueue) { tc.to.Create(t.Context(), event.CreateEvent{Object: tc.of}, q) },
			"deletion": func(q *recordingQueue) { tc.to.Delete(t.Context(), event.DeleteEvent{Object: tc.of}, q) },
		} {
			q := &recordingQueue{}
			deliver(q)
			if diff := cmp.Diff(tc.want, q.added); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tc.name, kind, diff)
			}
		}
	}
}

// TestFailedLeaders checks that the failure of a leader enqueues its set and is remembered, also if the watch shows
// only its deletion. Other pods enqueue nothing.
func TestFailedLeaders(t *testing.T) {
	failed, terminating, running := leaderOf(1), leaderOf(2), leaderOf(3)
	failed.UID, failed.Status = "failed", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
	terminating.Status.Phase, terminating.DeletionTimestamp = corev1.PodFailed, &metav1.Time{}
	running.Status.Phase = corev1.PodRunning
	for _, tc := range []struct {
		leader *corev1.Pod
		index  int32
		want   bool
	}{{failed, 1, true}, {terminating, 2, false}, {running, 3, false}} {
		memories, q := newMemories(), &recordingQueue{}
		enqueue[*corev1.Pod](failedLeaderToSet(memories), immediately).Delete(t.Context(),
			event.TypedDeleteEvent[*corev1.Pod]{Object: tc.leader}, q)
		known, remembered := memories.ofSet(setOf(tc.leader)).FailedLeaders[tc.index]
		if remembered != tc.want || (len(q.added) == 1) != tc.want || (tc.want && known.UID != "failed") {
			t.Errorf("%s: remembered: %t, enqueued %v; want %t", tc.leader.Name, remembered, q.added, tc.want)
		}
	}
}

func TestUpdateEnqueuesOldAndNewGroup(t *testing.T) {
	q := &recordingQueue{}
	updated(t, q, toGroup, leaderOf(1), leaderOf(2))
	if diff := cmp.Diff([]string{"default/llama-1 in 0s", "default/llama-2 in 0s"}, q.added); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestDecisiveWorkersDoNotWait(t *testing.T) {
	ready := func(group, worker int32) *corev1.Pod {
		pod := workerOf(group, worker)
		pod.Annotations = map[string]string{leaderworkersetv1.SizeAnnotationKey: "4"}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		return pod
	}
	// The cache shows worker 1 of group 1, and no worker of groups 2 and 3. All workers of group 4 are ready, one of
	// group 5 isn't, and one of group 6 is missing. The leader of group 8 terminates.
	terminating := leaderOf(8)
	terminating.DeletionTimestamp, terminating.Finalizers = ptr.To(metav1.Now()), []string{"example.com/hold"}
	reader := cacheOf(t, setOfSize(20, 4), leaderOf(7), terminating,
		workerOf(1, 1), ready(4, 1), ready(4, 2), ready(4, 3),
		ready(5, 1), ready(5, 2), workerOf(5, 3), ready(6, 1), ready(6, 2))
	delay := workerDelay(reader, batchDelay(reader, DefaultOptions().Batch))
	q, to := &recordingQueue{}, enqueue[*corev1.Pod](toGroup, delay)
	to.Create(t.Context(), event.TypedCreateEvent[*corev1.Pod]{Object: workerOf(1, 2)}, q)
	to.Update(t.Context(), event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: workerOf(2, 2), ObjectNew: workerOf(2, 2)}, q)
	to.Delete(t.Context(), event.TypedDeleteEvent[*corev1.Pod]{Object: workerOf(1, 2)}, q)
	to.Delete(t.Context(), event.TypedDeleteEvent[*corev1.Pod]{Object: workerOf(3, 1)}, q)
	changes := func(before, after *corev1.Pod) {
		to.Update(t.Context(), event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: before, ObjectNew: after}, q)
	}
	for _, group := range []int32{4, 5, 6} {
		changes(workerOf(group, 2), ready(group, 2))
	}
	for _, group := range []int32{7, 8} {
		changes(ready(group, 2), workerOf(group, 2))
	}
	want := []string{
		"default/llama-1 in 26ms", "default/llama-2 in 26ms", // created, updated
		"default/llama-1 in 26ms", "default/llama-3 in 0s", // deleted
		"default/llama-4 in 0s", "default/llama-5 in 26ms", "default/llama-6 in 26ms", // ready
		"default/llama-7 in 0s", "default/llama-8 in 26ms", // not ready any more
	}
	if diff := cmp.Diff(want, q.added); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestEnqueueAllGroups(t *testing.T) {
	other := leaderOf(7)
	other.Labels[leaderworkersetv1.SetNameLabelKey] = "other"
	reader := cacheOf(t, leaderOf(0), leaderOf(1), workerOf(0, 1), other)
	q := &recordingQueue{}
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: part("llama")}
	enqueue[client.Object](toAllGroups(reader), immediately).Create(t.Context(), event.CreateEvent{Object: lws}, q)
	if diff := cmp.Diff([]string{"default/llama-0 in 0s", "default/llama-1 in 0s"}, q.added); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// TestUnrelatedEventsEnqueueNothing delivers the events of a busy cluster that change only fields that no pass reads.
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
		updated(t, q, toSet, before, after, leadersOnly(), podChanged())
		updated(t, q, toGroup, before, after, podChanged())

		ready := worker.DeepCopy()
		ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		updated(t, q, toSet, worker, ready, leadersOnly())
		initialized := worker.DeepCopy()
		initialized.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}}
		before, after = trimmed(t, trimPod, worker), trimmed(t, trimPod, initialized)
		updated(t, q, toGroup, before, after, workersOnly(), workerChanged(reader))

		sts := leaders.DeepCopy()
		sts.ResourceVersion, sts.Status.UpdateRevision, sts.Status.AvailableReplicas = version, version, int32(i)
		updated(t, q, toSet, trimmed(t, trimStatefulSet, leaders), trimmed(t, trimStatefulSet, sts),
			contentChanged[appsv1.StatefulSet]())
		scaled := sts.DeepCopy()
		scaled.Spec.Replicas = ptr.To(int32(i))
		updated(t, q, toGroupsByLabelOrName, sts, scaled)

		exposed := service.DeepCopy()
		exposed.ResourceVersion, exposed.Spec.ClusterIPs = version, []string{version}
		updated(t, q, toSet, trimmed(t, trimService, service), trimmed(t, trimService, exposed),
			contentChanged[corev1.Service]())

		status := lws.DeepCopy()
		status.ResourceVersion, status.Status.Replicas = version, int32(i)
		updated(t, q, toItself, lws, status, specOrMetadataChanged())
	}
	if len(q.added) > 0 {
		t.Errorf("%d passes are started, the first of %s", len(q.added), q.added[0])
	}
}
