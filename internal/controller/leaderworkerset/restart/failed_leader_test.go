// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

var evicted = restart.Failure{Cause: restart.Evicted, Message: "a-0: Evicted", Crashed: true}

// failedLeader is the input of a decision on a set of 1 group of 1. The leader "old" failed, and the present leader has
// that UID. A new leader waits behind its gate.
func failedLeader(present types.UID, entry restart.Entry, change func(*restart.Input)) restart.Input {
	in := uninjected(time.Hour, entry, func(*restart.Input) {})
	leader := in.Set.Groups[0].Leader
	in.Set.Groups[0].Uninjected = nil
	leader.UID, leader.Status = present, corev1.PodStatus{}
	if present == "old" {
		leader.Status.Phase = corev1.PodFailed
	} else {
		leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.RestartSchedulingGate}}
	}
	in.Leaders = restart.Leaders{0: {UID: "old"}}
	in.FailedLeaders = map[int32]restart.FailedLeader{0: {UID: "old", Failure: evicted, Complete: true}}
	change(&in)
	return in
}

// TestNextOfFailedLeaders decides on a group whose leader failed: while the leader is there, and once the StatefulSet
// controller has replaced it.
func TestNextOfFailedLeaders(t *testing.T) {
	limit := func(restarts int32) func(*restart.Input) {
		return func(in *restart.Input) { in.Set.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = &restarts }
	}
	policy := func(policy leaderworkersetv1.RestartPolicyType, complete bool) func(*restart.Input) {
		return func(in *restart.Input) {
			in.Set.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = policy
			in.FailedLeaders[0] = restart.FailedLeader{UID: "old", Failure: evicted, Complete: complete}
		}
	}
	nothing := func(*restart.Input) {}
	anHourLater := createdAt.Add(time.Hour).Unix()
	recently := anHourLater - 3
	waiting := restart.Entry{
		Restarts: 1, LastRestart: recently, FailedLeader: "old", Waiting: restart.Evicted, Reason: evicted.Message,
	}
	counted := restart.Entry{Restarts: 1, LastRestart: anHourLater, FailedLeader: "old", Reason: evicted.Message}
	uncounted := restart.Entry{FailedLeader: "old", Waiting: restart.Evicted, Reason: evicted.Message}
	exhausted := func(leader types.UID, entry restart.Entry) restart.Entry {
		entry.ExhaustedLeader = leader
		return entry
	}
	for _, tc := range []struct {
		what     string
		present  types.UID
		entry    restart.Entry
		change   func(*restart.Input)
		want     restart.Entry
		outcome  string // Restarts, Recreated or none
		ungates  bool
		requeues time.Duration
		crash    restart.Crash
	}{
		{
			what: "it is still there", present: "old", change: nothing, want: uncounted,
			crash: restart.Crash{Waiting: evicted.Message},
		},
		{
			what: "it is replaced", present: "new", change: nothing, want: counted, outcome: "Recreated", ungates: true,
			crash: restart.Crash{Restarts: 1},
		},
		{
			what: "it is replaced, after an operator that has seen it restarted", present: "new", entry: uncounted,
			change: func(in *restart.Input) { in.Leaders, in.FailedLeaders = nil, nil },
			want:   counted, outcome: "Recreated", ungates: true, crash: restart.Crash{Restarts: 1},
		},
		{
			what: "it is replaced, and the view of the record is late", present: "new", entry: uncounted,
			change: func(in *restart.Input) { in.Leaders = restart.Leaders{0: {UID: "new", Counted: true}} },
			want:   counted, ungates: true, crash: restart.Crash{Restarts: 1},
		},
		{
			what: "it is replaced too early", present: "new", entry: restart.Entry{Restarts: 1, LastRestart: recently},
			change: nothing, want: waiting, requeues: 7 * time.Second,
			crash: restart.Crash{Restarts: 1, Waiting: evicted.Message},
		},
		{
			what: "it is replaced, and the last restart was recorded by a clock an hour ahead", present: "new",
			entry:  restart.Entry{Restarts: 1, LastRestart: anHourLater + 3600},
			change: nothing,
			want: restart.Entry{
				Restarts: 2, LastRestart: anHourLater, FailedLeader: "old", Reason: evicted.Message,
			},
			outcome: "Recreated", ungates: true, crash: restart.Crash{Restarts: 2},
		},
		{
			what: "it is replaced too early, by a leader without a gate", present: "new",
			entry: restart.Entry{Restarts: 1, LastRestart: recently},
			change: func(in *restart.Input) {
				in.Set.Groups[0].Leader.Spec.SchedulingGates = nil
			},
			want: restart.Entry{
				Restarts: 2, LastRestart: anHourLater, FailedLeader: "old", Reason: evicted.Message,
			},
			outcome: "Recreated", crash: restart.Crash{Restarts: 2},
		},
		{
			what: "somebody deletes the leader that waits", present: "newer", entry: waiting,
			change: func(in *restart.Input) { in.Leaders = restart.Leaders{0: {UID: "new"}} },
			want: restart.Entry{
				Restarts: 1, LastRestart: recently, FailedLeader: "old", Reason: evicted.Message,
			},
			ungates: true, crash: restart.Crash{Restarts: 1},
		},
		{
			what: "no restarts are left", present: "new", change: limit(0), want: exhausted("new", uncounted),
			crash: restart.Crash{Exhausted: evicted.Message, Waiting: evicted.Message},
		},
		{
			what: "no restarts were left before it failed", present: "new", change: limit(1),
			entry: exhausted("old", restart.Entry{Restarts: 1, LastRestart: recently}),
			want:  exhausted("new", waiting),
			crash: restart.Crash{Restarts: 1, Exhausted: evicted.Message, Waiting: evicted.Message},
		},
		{
			what: "no restarts are left, and it is the same", present: "new", change: limit(0),
			entry: exhausted("new", uncounted), want: exhausted("new", uncounted),
			crash: restart.Crash{Exhausted: evicted.Message, Waiting: evicted.Message},
		},
		{
			what: "the limit is raised", present: "new", change: limit(1), entry: exhausted("new", uncounted),
			want: counted, outcome: "Recreated", ungates: true, crash: restart.Crash{Restarts: 1},
		},
		{
			what: "the leader without restarts left is deleted", present: "newer", entry: exhausted("new", waiting),
			change: func(in *restart.Input) { limit(1)(in); in.Leaders = restart.Leaders{0: {UID: "new"}} },
			want:   restart.Entry{FailedLeader: "old"}, ungates: true,
		},
		{
			what: "the leader without restarts left asks to recover", present: "new", entry: exhausted("new", waiting),
			change: func(in *restart.Input) {
				limit(1)(in)
				in.Set.Groups[0].Leader.Annotations = map[string]string{leaderworkersetv1.RecoverAnnotationKey: "true"}
			},
			want: restart.Entry{FailedLeader: "old"}, outcome: "Restarts",
		},
		{
			what: "its deletion was expected", present: "new", want: restart.Entry{}, ungates: true,
			change: func(in *restart.Input) { in.Leaders = restart.Leaders{0: {UID: "old", Expected: true}} },
		},
		{
			what: "it failed long ago", present: "new", want: restart.Entry{}, ungates: true,
			change: func(in *restart.Input) { in.Leaders = restart.Leaders{0: {UID: "new"}} },
		},
		{
			what: "policy None", present: "new", want: restart.Entry{}, ungates: true,
			change: policy(leaderworkersetv1.NoneRestartPolicy, true),
		},
		{
			what: "after start: it hadn't started", present: "new", want: restart.Entry{}, ungates: true,
			change: policy(leaderworkersetv1.RecreateGroupAfterStart, false),
		},
		{
			what: "after start: it had started", present: "new", want: counted, outcome: "Recreated", ungates: true,
			change: policy(leaderworkersetv1.RecreateGroupAfterStart, true), crash: restart.Crash{Restarts: 1},
		},
	} {
		decision := restart.Next(failedLeader(tc.present, tc.entry, tc.change))
		got := tc.entry
		if decision.WriteRecord {
			got = decision.Record[0]
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: entry (-want +got):\n%s", tc.what, diff)
		}
		if got := outcomeOf(decision); got != tc.outcome || (len(decision.Ungate) > 0) != tc.ungates ||
			decision.RequeueAfter != tc.requeues {
			t.Errorf("%s: %q, ungates %d, requeues after %s; want %q, %t, %s", tc.what,
				got, len(decision.Ungate), decision.RequeueAfter, tc.outcome, tc.ungates, tc.requeues)
		}
		if diff := cmp.Diff(tc.crash, decision.Crashes[0]); diff != "" {
			t.Errorf("%s: crash (-want +got):\n%s", tc.what, diff)
		}
		for _, recreated := range decision.Recreated {
			if recreated.Failure != evicted {
				t.Errorf("%s: the failure is %+v", tc.what, recreated.Failure)
			}
		}
	}
}

func outcomeOf(decision restart.Decision) string {
	switch {
	case len(decision.Restarts) > 0:
		return "Restarts"
	case len(decision.Recreated) > 0:
		return "Recreated"
	default:
		return ""
	}
}

// TestFailuresOfLeaders checks what passes report of leaders that others deleted.
func TestFailuresOfLeaders(t *testing.T) {
	leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a-0", UID: "new"}}
	groups := []snapshot.Group{{Leader: leader}}
	const was = "leader pod a-0 was deleted"
	for _, tc := range []struct {
		what     string
		previous restart.Leader
		decision restart.Decision
		want     map[int32]restart.Failure
	}{
		{
			what: "deleted", previous: restart.Leader{UID: "old"},
			want: map[int32]restart.Failure{0: {Cause: restart.LeaderDeleted, Message: was}},
		},
		{
			what: "preempted", previous: restart.Leader{UID: "old", Disruption: restart.Preempted},
			want: map[int32]restart.Failure{0: {Cause: restart.Preempted, Message: was + ": Preempted"}},
		},
		{what: "expected", previous: restart.Leader{UID: "old", Expected: true}},
		{what: "the same", previous: restart.Leader{UID: "new"}},
		{
			what: "failed", previous: restart.Leader{UID: "old"},
			decision: restart.Decision{FailedLeaders: map[int32]types.UID{0: "old"}},
		},
		{
			what: "failed, and the restart counts now", previous: restart.Leader{UID: "old"},
			decision: restart.Decision{
				FailedLeaders: map[int32]types.UID{0: "old"},
				Recreated:     []restart.Restart{{Group: groups[0], Failure: evicted}},
			},
			want: map[int32]restart.Failure{0: evicted},
		},
	} {
		got := restart.Leaders{0: tc.previous}.Failures(groups, &tc.decision)
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
}

func TestFailedLeaderOf(t *testing.T) {
	for _, tc := range []struct {
		what   string
		phase  corev1.PodPhase
		change func(*corev1.Pod)
		want   bool
	}{
		{"it failed", corev1.PodFailed, func(*corev1.Pod) {}, true},
		{"it fails because it is deleted", corev1.PodFailed, func(pod *corev1.Pod) {
			pod.DeletionTimestamp = &metav1.Time{}
		}, false},
		{"it succeeded", corev1.PodSucceeded, func(*corev1.Pod) {}, false},
		{"it runs", corev1.PodRunning, func(*corev1.Pod) {}, false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "leader"}, Status: corev1.PodStatus{Phase: tc.phase}}
		tc.change(pod)
		if failed, ok := restart.FailedLeaderOf(pod); ok != tc.want || (ok && failed.UID != "leader") {
			t.Errorf("%s: got %+v, %t", tc.what, failed, ok)
		}
	}
}

// TestGatesLeader checks which new leaders wait for a pass over their set.
func TestGatesLeader(t *testing.T) {
	const other = `{"10":{"restarts":1},"2":{"life":"x","reason":"\"1\":{\"restarts\":1}"}`
	for _, tc := range []struct {
		what   string
		record string
		change func(*leaderworkersetv1.LeaderWorkerSet, *corev1.Pod)
		want   bool
	}{
		{what: "no record"},
		{what: "other groups crashed", record: other + `}`},
		{what: "it was complete", record: `{"1":{"life":"x"}}`},
		{what: "it crashed before", record: `{"1":{"restarts":1}}`, want: true},
		{what: "it crashed before, as others did", record: other + `,"1":{"restarts":1},"3":{}}`, want: true},
		{what: "its leader failed", record: `{"1":{"waiting":"PodFailed"}}`, want: true},
		{what: "it has no restarts left", record: `{"1":{"failed":"leader"}}`, want: true},
		{
			what: "it was complete, and the set allows no restarts", record: `{"1":{"life":"x"}}`, want: true,
			change: func(lws *leaderworkersetv1.LeaderWorkerSet, _ *corev1.Pod) {
				lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
			},
		},
		{
			what: "policy None", record: `{"1":{"restarts":1}}`,
			change: func(lws *leaderworkersetv1.LeaderWorkerSet, _ *corev1.Pod) {
				lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
			},
		},
		{
			what: "the operator leaves the set alone", record: `{"1":{"restarts":1}}`,
			change: func(lws *leaderworkersetv1.LeaderWorkerSet, _ *corev1.Pod) { lws.Spec.GroupIdentity = "Hash" },
		},
		{
			what: "it names its node", record: `{"1":{"restarts":1}}`,
			change: func(_ *leaderworkersetv1.LeaderWorkerSet, leader *corev1.Pod) { leader.Spec.NodeName = "n" },
		},
		{
			what: "it has the gate", record: `{"1":{"restarts":1}}`,
			change: func(_ *leaderworkersetv1.LeaderWorkerSet, leader *corev1.Pod) {
				leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.RestartSchedulingGate}}
			},
		},
		{what: "the record is no JSON", record: `{"1":{"restarts":`},
	} {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		lws.Default()
		leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{leaderworkersetv1.GroupRecordAnnotationKey: tc.record},
		}}
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a-1"}}
		if tc.change != nil {
			tc.change(lws, leader)
		}
		if got := restart.GatesLeader(lws, leaders, leader); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.what, got, tc.want)
		}
	}
}
