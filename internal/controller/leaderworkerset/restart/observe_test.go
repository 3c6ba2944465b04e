// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"cmp"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// running returns group 0 of the set "a" of size 3, with all pods running, after a change.
func running(change func(*snapshot.GroupMembers)) *snapshot.GroupMembers {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "ns", UID: "set"}}
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To(int32(3))
	lws.Default()
	leaders := &appsv1.StatefulSet{ObjectMeta: owned("a", "leaders", lws, "LeaderWorkerSet")}
	leader := &corev1.Pod{ObjectMeta: owned("a-0", "leader", leaders, "StatefulSet")}
	leader.Annotations = map[string]string{leaderworkersetv1.SizeAnnotationKey: "3"}
	leader.Status.Phase = corev1.PodRunning
	workers := &appsv1.StatefulSet{ObjectMeta: owned("a-0", "workers", leader, "Pod")}
	m := &snapshot.GroupMembers{LWS: lws, Leaders: leaders, Leader: leader, Workers: workers}
	for worker := int32(1); worker < 3; worker++ {
		m.WorkerPods = append(m.WorkerPods, workerPod(m, worker, types.UID(identity.Worker("uid", worker))))
	}
	if change != nil {
		change(m)
	}
	return m
}

func workerPod(m *snapshot.GroupMembers, worker int32, uid types.UID) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: owned(identity.Worker("a-0", worker), uid, m.Workers, "StatefulSet")}
	pod.Status.Phase = corev1.PodRunning
	return pod
}

// TestObserve observes a group that was complete, and again after a change.
func TestObserve(t *testing.T) {
	none := func(m *snapshot.GroupMembers) {
		m.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
	}
	deleting := &metav1.Time{}
	for _, tc := range []struct {
		what    string
		change  func(*snapshot.GroupMembers)
		failure string        // its message; empty for none
		cause   restart.Cause // PodDeleted if empty
		crashed bool
	}{
		{what: "no change"},
		{
			what:    "a worker was deleted",
			change:  func(m *snapshot.GroupMembers) { m.WorkerPods = m.WorkerPods[:1] },
			failure: "pod a-0-2 was deleted",
		},
		{
			what:    "a worker was replaced between two passes",
			change:  func(m *snapshot.GroupMembers) { m.WorkerPods[1].UID = "another" },
			failure: "pod a-0-2 was deleted and created again",
		},
		{
			what:    "a worker terminates",
			change:  func(m *snapshot.GroupMembers) { m.WorkerPods[0].DeletionTimestamp = deleting },
			failure: "pod a-0-1 is being deleted",
		},
		{
			what:    "the worker StatefulSet was deleted with its pods",
			change:  func(m *snapshot.GroupMembers) { m.Workers = nil; m.WorkerPods = nil },
			failure: "pod a-0-1 was deleted",
		},
		{
			what: "the worker StatefulSet was deleted, and its pods are orphans",
			change: func(m *snapshot.GroupMembers) {
				m.Workers, m.WorkerPods[0].OwnerReferences, m.WorkerPods[1].OwnerReferences = nil, nil, nil
			},
			failure: "pod a-0-1 was deleted",
		},
		{what: "the cache doesn't show the worker StatefulSet", change: func(m *snapshot.GroupMembers) { m.Workers = nil }},
		{
			what:    "the cache doesn't show the worker StatefulSet, and a worker terminates",
			change:  func(m *snapshot.GroupMembers) { m.Workers = nil; m.WorkerPods[1].DeletionTimestamp = deleting },
			failure: "pod a-0-2 was deleted",
		},
		{
			what:    "the cache doesn't show the worker StatefulSet, and a worker was replaced",
			change:  func(m *snapshot.GroupMembers) { m.Workers = nil; m.WorkerPods[1].UID = "another" },
			failure: "pod a-0-2 was deleted",
		},
		{
			what: "a worker is evicted by the API",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[0].DeletionTimestamp = deleting
				m.WorkerPods[0].Status.Conditions = disruptedBy("EvictionByEvictionAPI")
			},
			failure: "pod a-0-1 is being deleted: Evicted", cause: restart.Evicted,
		},
		{
			what: "a worker failed",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[0].Status = corev1.PodStatus{Phase: corev1.PodFailed}
			},
			failure: "a-0-1: the pod failed", cause: restart.PodFailed, crashed: true,
		},
		{
			what: "a worker failed with its containers",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[0].Status = corev1.PodStatus{
					Phase:                 corev1.PodFailed,
					InitContainerStatuses: []corev1.ContainerStatus{ended("init", 0, "Completed", 3)},
					ContainerStatuses: []corev1.ContainerStatus{
						ended("main", 137, "OOMKilled", 2), ended("proxy", 1, "Error", 1),
					},
				}
			},
			failure: "a-0-1: container main OOMKilled, exit code 137", cause: restart.PodFailed, crashed: true,
		},
		{
			what: "a worker was evicted by its kubelet",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[0].Status = corev1.PodStatus{
					Phase: corev1.PodFailed, Reason: "Evicted", Conditions: disruptedBy(corev1.PodReasonTerminationByKubelet),
					ContainerStatuses: []corev1.ContainerStatus{ended("main", 137, "Error", 1)},
				}
			},
			failure: "a-0-1: Evicted, container main Error, exit code 137", cause: restart.Evicted, crashed: true,
		},
		{
			what: "the node of a worker shuts down",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[0].Status = corev1.PodStatus{
					Phase: corev1.PodFailed, Reason: "Terminated", Conditions: disruptedBy(corev1.PodReasonTerminationByKubelet),
				}
			},
			failure: "a-0-1: Terminated", cause: restart.NodeShutdown, crashed: true,
		},
		{
			what: "a worker fails because it is deleted",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[0].DeletionTimestamp, m.WorkerPods[0].Status.Phase = deleting, corev1.PodFailed
			},
			failure: "pod a-0-1 is being deleted",
		},
		{
			what: "a container restarted",
			change: func(m *snapshot.GroupMembers) {
				m.Leader.Status.ContainerStatuses = []corev1.ContainerStatus{
					restarted("proxy", 1, "Error", 1), restarted("main", 137, "OOMKilled", 2),
				}
			},
			failure: "a-0: container main OOMKilled, exit code 137", cause: restart.ContainerRestart, crashed: true,
		},
		{
			what: "a container restarted, and nothing says how it ended",
			change: func(m *snapshot.GroupMembers) {
				m.Leader.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}}
			},
			failure: "a-0: a container restarted", cause: restart.ContainerRestart, crashed: true,
		},
		{
			what: "an init container restarted",
			change: func(m *snapshot.GroupMembers) {
				m.WorkerPods[1].Status.InitContainerStatuses = []corev1.ContainerStatus{restarted("init", 2, "", 1)}
			},
			failure: "a-0-2: container init ended, exit code 2", cause: restart.ContainerRestart, crashed: true,
		},
		{
			what: "a pod of an earlier incarnation still terminates",
			change: func(m *snapshot.GroupMembers) {
				pod := workerPod(m, 1, "earlier")
				pod.OwnerReferences[0].UID = "earlier workers"
				pod.DeletionTimestamp = deleting
				m.WorkerPods = append(m.WorkerPods, pod)
			},
		},
		{
			what:   "the leader terminates",
			change: func(m *snapshot.GroupMembers) { m.Leader.DeletionTimestamp = deleting; m.WorkerPods = nil },
		},
		{what: "the leader was deleted", change: func(m *snapshot.GroupMembers) { m.Leader = nil; m.WorkerPods = nil }},
		{what: "the leader is another one", change: func(m *snapshot.GroupMembers) { m.Leader.UID = "another" }},
		{what: "the set was deleted", change: func(m *snapshot.GroupMembers) { m.LWS = nil; m.WorkerPods = nil }},
		{
			what:   "the set terminates",
			change: func(m *snapshot.GroupMembers) { m.LWS.DeletionTimestamp = deleting; m.WorkerPods = nil },
		},
		{what: "policy None", change: func(m *snapshot.GroupMembers) { none(m); m.WorkerPods = nil }},
	} {
		known := restart.Observe(restart.Incarnation{}, "", running(nil))
		if !known.Complete() || known.Failure != (restart.Failure{}) {
			t.Fatalf("a running group is %+v", known)
		}
		got := restart.Observe(known, "", running(tc.change))
		want := restart.Failure{}
		if tc.failure != "" {
			want = restart.Failure{
				Cause: cmp.Or(tc.cause, restart.PodDeleted), Message: tc.failure, Crashed: tc.crashed,
			}
		}
		if got.Failure != want {
			t.Errorf("%s: got %+v, want %+v", tc.what, got.Failure, want)
		}
		if tc.failure != "" {
			if again := restart.Observe(got, "", running(nil)); again.Failure != got.Failure {
				t.Errorf("%s: the failure is forgotten before the group is restarted", tc.what)
			}
		}
	}
}

// ended returns the status of a container that ended at a time, in seconds.
func ended(name string, exitCode int32, reason string, at int64) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exitCode, Reason: reason, FinishedAt: metav1.Unix(at, 0),
	}}}
}

// restarted returns the status of a container that ended at a time, in seconds, and has started again.
func restarted(name string, exitCode int32, reason string, at int64) corev1.ContainerStatus {
	status := ended(name, exitCode, reason, at)
	return corev1.ContainerStatus{Name: name, RestartCount: 1, LastTerminationState: status.State}
}

func disruptedBy(reason string) []corev1.PodCondition {
	return []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason}}
}

// TestObserveDisruptions observes a worker that says why it is disrupted, and is gone at the next pass.
func TestObserveDisruptions(t *testing.T) {
	for reason, want := range map[string]restart.Cause{
		"PreemptionByScheduler":  restart.Preempted,
		"DeletionByTaintManager": restart.TaintManager,
		"EvictionByEvictionAPI":  restart.Evicted,
		"DeletionByPodGC":        restart.PodGC,
		"TerminationByKubelet":   restart.NodeShutdown,
		"SomethingNew":           restart.PodDeleted,
	} {
		known := restart.Observe(restart.Incarnation{}, "", running(nil))
		disrupted := restart.Observe(known, "", running(func(m *snapshot.GroupMembers) {
			m.WorkerPods[1].Status.Conditions = disruptedBy(reason)
		}))
		if disrupted.Failure != (restart.Failure{}) {
			t.Errorf("%s: got %+v before the pod is deleted", reason, disrupted.Failure)
		}
		got := restart.Observe(disrupted, "", running(func(m *snapshot.GroupMembers) { m.WorkerPods = m.WorkerPods[:1] }))
		if got.Failure.Cause != want || got.Failure.Crashed {
			t.Errorf("%s: got %+v, want the cause %s", reason, got.Failure, want)
		}
		if known.Members[2].Disruption != "" {
			t.Errorf("%s: a pass has changed what the memory shares", reason)
		}
	}
}

// TestObserveAfterRestart observes a group as an operator that has just started, which has only the fingerprint.
func TestObserveAfterRestart(t *testing.T) {
	known := restart.Observe(restart.Incarnation{}, "", running(nil))
	for _, tc := range []struct {
		what   string
		change func(*snapshot.GroupMembers)
		fails  bool
	}{
		{"no change", nil, false},
		{"a worker was replaced", func(m *snapshot.GroupMembers) { m.WorkerPods[0].UID = "another" }, true},
		{"a worker was deleted", func(m *snapshot.GroupMembers) { m.WorkerPods = m.WorkerPods[:1] }, true},
		{"a container restarted", func(m *snapshot.GroupMembers) {
			m.Leader.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}}
		}, true},
		{"it is another incarnation", func(m *snapshot.GroupMembers) { m.Leader.UID = "another"; m.WorkerPods = nil }, false},
	} {
		members := running(tc.change)
		got := restart.Observe(restart.Incarnation{}, known.Fingerprint, members)
		if (got.Failure.Message != "") != tc.fails {
			t.Errorf("%s: got failure %q, want one: %v", tc.what, got.Failure.Message, tc.fails)
		}
	}
}

// TestObserveBeforeComplete observes a group before it is complete. Deleted pods count at once, and container restarts
// never. With RecreateGroupAfterStart nothing counts until all pods have run at the same time.
func TestObserveBeforeComplete(t *testing.T) {
	incomplete := func(m *snapshot.GroupMembers) { m.WorkerPods = m.WorkerPods[:1] }
	deleted := func(m *snapshot.GroupMembers) { m.WorkerPods = nil }
	restarted := func(m *snapshot.GroupMembers) {
		m.Leader.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}}
	}
	pending := func(m *snapshot.GroupMembers) { m.WorkerPods[1].Status.Phase = corev1.PodPending }
	afterStart := func(m *snapshot.GroupMembers) {
		m.LWS.Annotations = map[string]string{leaderworkersetv1.RecreateGroupAfterStartAnnotationKey: "true"}
	}
	both := func(a, b func(*snapshot.GroupMembers)) func(*snapshot.GroupMembers) {
		return func(m *snapshot.GroupMembers) { a(m); b(m) }
	}
	for _, tc := range []struct {
		what          string
		before, after func(*snapshot.GroupMembers)
		complete      bool
		fails         bool
	}{
		{"a worker is deleted while others are missing", incomplete, deleted, false, true},
		{"containers restart while others are missing", incomplete, restarted, true, false},
		{
			"after start: a worker is deleted before all have run", both(afterStart, pending), both(afterStart, incomplete),
			false, false,
		},
		{"after start: a worker is deleted after all have run", afterStart, both(afterStart, incomplete), true, true},
		{"after start: all pods exist and one is pending", afterStart, both(afterStart, pending), true, false},
	} {
		got := restart.Observe(restart.Observe(restart.Incarnation{}, "", running(tc.before)), "", running(tc.after))
		if got.Complete() != tc.complete || (got.Failure.Message != "") != tc.fails {
			t.Errorf("%s: got complete %v, failure %q; want %v, %v",
				tc.what, got.Complete(), got.Failure.Message, tc.complete, tc.fails)
		}
	}
}

func owned(name string, uid types.UID, owner metav1.Object, kind string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: "ns", UID: uid,
		OwnerReferences: []metav1.OwnerReference{{
			Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: ptr.To(true),
		}},
	}
}
