// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

var (
	before = metav1.NewTime(time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC))
	now    = metav1.NewTime(before.Add(time.Hour))
)

// newInput returns a set of that many replicas and its groups, a character each. Updated groups are n if ready, else w,
// or t if terminating. Outdated groups are o if ready, else x.
func newInput(replicas int32, groups string) status.Input {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Generation: 7}}
	lws.Spec.Replicas = ptr.To(replicas)
	lws.Default()
	in := status.Input{
		Set: &snapshot.Set{LWS: lws}, Revision: "new", Now: now,
		Release: release.Decision{Replicas: replicas, Progress: rollout.Complete},
	}
	for index, kind := range groups {
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: "old"},
		}}
		if strings.ContainsRune("nwt", kind) {
			leader.Labels[leaderworkersetv1.RevisionLabelKey] = "new"
		}
		if strings.ContainsRune("not", kind) {
			leader.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		if kind == 't' {
			leader.DeletionTimestamp = &now
		}
		group := snapshot.Group{Index: int32(index), Leader: leader} //nolint:gosec // An index.
		in.Set.Groups = append(in.Set.Groups, group)
	}
	return in
}

// withOutdated returns a release with that many groups to update.
func withOutdated(outdated int32) release.Decision {
	if outdated == 0 {
		return release.Decision{Progress: rollout.Complete}
	}
	return release.Decision{Outdated: outdated, Progress: rollout.WaitingForGroups}
}

// writeEarlier stores the status of the input in the set, as an hour ago.
func writeEarlier(in status.Input) {
	in.Now = before
	in.Set.LWS.Status, _ = status.Next(in)
}

func isTrue(conditions []metav1.Condition, kind string) bool {
	return meta.IsStatusConditionTrue(conditions, kind)
}

func TestConditions(t *testing.T) {
	const (
		progressing = leaderworkersetv1.ConditionProgressing
		available   = leaderworkersetv1.ConditionAvailable
		updating    = leaderworkersetv1.ConditionUpdateInProgress
	)
	for _, tc := range []struct {
		name                     string
		replicas                 int32
		groups                   string
		outdated                 int32
		existing, ready, updated int32
		wantTrue                 []string
		message                  string
	}{
		{"no pods yet", 2, "", 0, 0, 0, 0, []string{progressing}, "0 of 2 groups are ready"},
		{"some are ready", 3, "nwn", 0, 3, 2, 3, []string{progressing}, "2 of 3 groups are ready"},
		{"all are ready", 2, "nn", 0, 2, 2, 2, []string{available}, "2 of 2 groups are ready"},
		{"no replicas", 0, "", 0, 0, 0, 0, []string{available}, "0 of 0 groups are ready"},
		{"one is terminating", 2, "nt", 0, 2, 1, 2, []string{progressing}, "1 of 2 groups are ready"},
		{
			"rollout, a group isn't ready", 3, "oow", 2, 3, 2, 1, []string{progressing, updating},
			"2 of 3 groups are ready, 2 have to be updated",
		},
		{
			"rollout, all are ready", 3, "oon", 2, 3, 3, 1, []string{progressing, updating},
			"3 of 3 groups are ready, 2 have to be updated",
		},
		{"rollout, the last one is starting", 3, "wnn", 0, 3, 2, 3, []string{progressing}, "2 of 3 groups are ready"},
		{"the partition protects outdated groups", 3, "oon", 0, 3, 3, 1, []string{available}, "3 of 3 groups are ready"},
		{"a surge group doesn't count as ready", 2, "nwn", 0, 3, 2, 3, []string{progressing}, "1 of 2 groups are ready"},
		{"a surge group that is left", 2, "nnw", 0, 3, 2, 3, []string{available}, "2 of 2 groups are ready"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := newInput(tc.replicas, tc.groups)
			in.Release = withOutdated(tc.outdated)
			got, _ := status.Next(in)

			counts := [3]int32{got.Replicas, got.ReadyReplicas, got.UpdatedReplicas}
			if want := [3]int32{tc.existing, tc.ready, tc.updated}; counts != want {
				t.Errorf("replicas, readyReplicas, updatedReplicas are %v, want %v", counts, want)
			}
			var gotTrue []string
			for _, kind := range []string{progressing, available, updating} {
				condition := meta.FindStatusCondition(got.Conditions, kind)
				if condition == nil {
					t.Fatalf("%s is missing", kind)
				}
				if condition.Status == metav1.ConditionTrue {
					gotTrue = append(gotTrue, kind)
				}
				if kind != updating && condition.Message != tc.message {
					t.Errorf("%s says %q, want %q", kind, condition.Message, tc.message)
				}
				if condition.ObservedGeneration != 7 || condition.LastTransitionTime != now || condition.Reason == "" {
					t.Errorf("%s is incomplete: %+v", kind, condition)
				}
			}
			if diff := cmp.Diff(tc.wantTrue, gotTrue); diff != "" {
				t.Errorf("conditions that are True (-want +got):\n%s", diff)
			}
			if isTrue(got.Conditions, progressing) == isTrue(got.Conditions, available) {
				t.Error("not exactly one of Available and Progressing is True")
			}
			reconciling := isTrue(got.Conditions, leaderworkersetv1.ConditionReconciling)
			if want := isTrue(got.Conditions, progressing); reconciling != want {
				t.Errorf("Reconciling is True: %t, want %t as of Progressing", reconciling, want)
			}
		})
	}
}

func TestFixedFields(t *testing.T) {
	got, _ := status.Next(newInput(1, "n"))
	const want = "leaderworkerset.sigs.k8s.io/name=llama,leaderworkerset.sigs.k8s.io/worker-index=0"
	if got.HPAPodSelector != want {
		t.Errorf("hpaPodSelector is %q, want %q", got.HPAPodSelector, want)
	}
	if got.ObservedGeneration != 7 {
		t.Errorf("observedGeneration is %d, want 7", got.ObservedGeneration)
	}
}

// TestRolloutMessage checks that the condition UpdateInProgress says which groups a rollout waits for.
func TestRolloutMessage(t *testing.T) {
	for _, tc := range []struct {
		name, groups string
		step         release.Decision
		reason, want string
	}{
		{
			"nothing to update", "nnnn", release.Decision{Replicas: 4, Progress: rollout.Complete},
			leaderworkersetv1.ReasonAllGroupsUpToDate, "All groups are up to date",
		},
		{
			"it begins", "oooo", release.Decision{Replicas: 4, Outdated: 4, Progress: rollout.WaitingForGroups},
			leaderworkersetv1.ReasonGroupsUpdating, "4 of 4 groups have to be updated; 1 may be unavailable",
		},
		{
			"a group is updating", "ooow", release.Decision{Replicas: 4, Outdated: 3, Progress: rollout.WaitingForGroups},
			leaderworkersetv1.ReasonGroupsUpdating,
			"3 of 4 groups have to be updated, waiting for group 3; 1 may be unavailable",
		},
		{
			"surge isn't created yet", "ooxo", release.Decision{Replicas: 6, Outdated: 4, Progress: rollout.WaitingForGroups},
			leaderworkersetv1.ReasonGroupsUpdating,
			"4 of 4 groups have to be updated, waiting for group 2 and surge groups 4-5; 1 may be unavailable",
		},
		{
			"the partition protects groups", "ooon", release.Decision{Replicas: 4, Progress: rollout.HeldByPartition},
			leaderworkersetv1.ReasonHeldByPartition, "1 group is up to date, the partition holds the others",
		},
	} {
		in := newInput(4, tc.groups)
		in.Release = tc.step
		if tc.step.Progress == rollout.HeldByPartition {
			in.Set.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](3)
		}
		got, _ := status.Next(in)
		condition := meta.FindStatusCondition(got.Conditions, leaderworkersetv1.ConditionUpdateInProgress)
		if condition.Reason != tc.reason || condition.Message != tc.want {
			t.Errorf("%s: got %s, %q, want %s, %q", tc.name, condition.Reason, condition.Message, tc.reason, tc.want)
		}
	}
}

func TestReasons(t *testing.T) {
	reasonOf := func(in status.Input, kind string) string {
		got, _ := status.Next(in)
		return meta.FindStatusCondition(got.Conditions, kind).Reason
	}
	updating := newInput(1, "o")
	updating.Release = withOutdated(1)
	for _, tc := range []struct {
		in         status.Input
		kind, want string
	}{
		{newInput(1, "n"), leaderworkersetv1.ConditionAvailable, leaderworkersetv1.ReasonAllGroupsReady},
		{newInput(1, "w"), leaderworkersetv1.ConditionProgressing, leaderworkersetv1.ReasonGroupsProgressing},
		{updating, leaderworkersetv1.ConditionUpdateInProgress, leaderworkersetv1.ReasonGroupsUpdating},
	} {
		if got := reasonOf(tc.in, tc.kind); got != tc.want {
			t.Errorf("%s has reason %q, want %q", tc.kind, got, tc.want)
		}
	}
}

// TestAvailableDoesNotFlap follows a rollout from group to group.
func TestAvailableDoesNotFlap(t *testing.T) {
	in := newInput(2, "nn")
	writeEarlier(in)
	changes := 0
	available := true
	for _, step := range []struct {
		groups   string
		outdated int32
	}{{"oo", 2}, {"ox", 2}, {"ow", 1}, {"on", 1}, {"wn", 0}, {"nn", 0}} {
		next := newInput(2, step.groups)
		next.Release = withOutdated(step.outdated)
		next.Set.LWS.Status = in.Set.LWS.Status
		in.Set.LWS.Status, _ = status.Next(next)
		if is := isTrue(in.Set.LWS.Status.Conditions, leaderworkersetv1.ConditionAvailable); is != available {
			changes++
			available = is
		}
	}
	if changes != 2 || !available {
		t.Errorf("Available changed %d times, want twice: to False and back", changes)
	}
}

func TestUnchangedStatusKeepsItsTimes(t *testing.T) {
	in := newInput(2, "nw")
	in.Obstacles = []status.Obstacle{{Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate, Message: "quota"}}
	writeEarlier(in)
	in.Set.LWS.Status, _ = status.Next(in) // Stalled by now.
	in.Now = metav1.NewTime(now.Add(time.Hour))
	got, events := status.Next(in)
	if diff := cmp.Diff(in.Set.LWS.Status, got); diff != "" {
		t.Errorf("status an hour later (-before +after):\n%s", diff)
	}
	if len(events) > 0 {
		t.Errorf("events without a change: %v", events)
	}
}

func TestTransitionTimesChangeWithTheStatusOnly(t *testing.T) {
	in := newInput(3, "nww")
	writeEarlier(in)
	next := newInput(3, "nnw")
	next.Set.LWS.Status = in.Set.LWS.Status
	got, _ := status.Next(next)
	progressing := meta.FindStatusCondition(got.Conditions, leaderworkersetv1.ConditionProgressing)
	if progressing.LastTransitionTime != before || progressing.Message != "2 of 3 groups are ready" {
		t.Errorf("got %+v, want the new message and the earlier time", progressing)
	}
}

func TestForeignConditionsStay(t *testing.T) {
	in := newInput(1, "n")
	foreign := metav1.Condition{
		Type: "Admitted", Status: metav1.ConditionTrue, Reason: "Quota", LastTransitionTime: before,
	}
	in.Set.LWS.Status.Conditions = []metav1.Condition{foreign}
	got, _ := status.Next(in)
	if diff := cmp.Diff(&foreign, meta.FindStatusCondition(got.Conditions, "Admitted")); diff != "" {
		t.Errorf("condition of another controller (-want +got):\n%s", diff)
	}
	if len(in.Set.LWS.Status.Conditions) != 1 {
		t.Error("the observed status was changed in place")
	}
}

func TestReplicaFailure(t *testing.T) {
	in := newInput(2, "nw")
	writeEarlier(in)
	in.Obstacles = []status.Obstacle{
		{Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate, Message: "group 1: quota"},
	}
	next, events := status.Next(in)
	want := metav1.Condition{
		Type: leaderworkersetv1.ConditionReplicaFailure, Status: metav1.ConditionTrue, Message: "group 1: quota",
		Reason: leaderworkersetv1.ReasonFailedCreate, ObservedGeneration: 7, LastTransitionTime: now,
	}
	if diff := cmp.Diff(&want, meta.FindStatusCondition(next.Conditions, want.Type)); diff != "" {
		t.Errorf("condition (-want +got):\n%s", diff)
	}
	warning := write.Event{
		Type: corev1.EventTypeWarning, Reason: leaderworkersetv1.ReasonFailedCreate,
		Action: "Reconcile", Note: "group 1: quota",
	}
	if diff := cmp.Diff([]write.Event{warning}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	in.Set.LWS.Status = next
	in.Obstacles[0].Message = "group 1: forbidden"
	next, events = status.Next(in)
	if len(events) != 1 || events[0].Note != "group 1: forbidden" {
		t.Errorf("got %v, want a warning of the new message", events)
	}

	in.Set.LWS.Status, in.Obstacles = next, nil
	next, events = status.Next(in)
	if condition := meta.FindStatusCondition(next.Conditions, want.Type); condition != nil || len(events) > 0 {
		t.Errorf("got %+v and %v, want neither condition nor event", condition, events)
	}
}

// TestMessagesAreBounded checks the lengths of messages. The API server allows 32768 characters in a condition, and
// 1024 bytes in an event.
func TestMessagesAreBounded(t *testing.T) {
	in := newInput(100, "")
	for group := range int32(100) {
		in.Obstacles = append(in.Obstacles, status.Obstacle{Group: group, Message: fmt.Sprintf("group %d: quota", group)})
	}
	next, _ := status.Next(in)
	message := meta.FindStatusCondition(next.Conditions, leaderworkersetv1.ConditionReplicaFailure).Message
	if want := "group 0: quota; group 1: quota; group 2: quota; and 97 more groups"; message != want {
		t.Errorf("message of many obstacles is %q, want %q", message, want)
	}

	for i := range in.Obstacles {
		in.Obstacles[i].Message = strings.Repeat("ü", 20000)
	}
	next, events := status.Next(in)
	message = meta.FindStatusCondition(next.Conditions, leaderworkersetv1.ConditionReplicaFailure).Message
	if len(message) > 1024 || !utf8.ValidString(message) {
		t.Errorf("message of long obstacles has %d bytes, valid %t", len(message), utf8.ValidString(message))
	}
	for _, event := range events {
		if len(event.Note) > 1024 {
			t.Errorf("note of %s has %d bytes", event.Reason, len(event.Note))
		}
	}
}

func TestEventsAreInOrder(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before func(*status.Input)
		in     func(*status.Input)
		want   []string
	}{
		{
			"a new set", nil, func(in *status.Input) { in.Set.Groups = nil },
			[]string{leaderworkersetv1.ReasonGroupsProgressing},
		},
		{"a set that is ready at once", nil, func(*status.Input) {}, []string{leaderworkersetv1.ReasonAllGroupsReady}},
		{
			"a rollout begins", func(*status.Input) {}, func(in *status.Input) { in.Release = withOutdated(1) },
			[]string{leaderworkersetv1.ReasonGroupsProgressing, leaderworkersetv1.ReasonGroupsUpdating},
		},
		{
			"a rollout ends", func(in *status.Input) { in.Release = withOutdated(1) }, func(*status.Input) {},
			[]string{leaderworkersetv1.ReasonAllGroupsReady},
		},
		{
			"a rollout reaches the partition", func(in *status.Input) { in.Release = withOutdated(1) },
			func(in *status.Input) {
				in.Set.Groups[0].Leader.Labels[leaderworkersetv1.RevisionLabelKey] = "old"
				in.Set.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
				in.Release.Progress = rollout.HeldByPartition
			},
			[]string{leaderworkersetv1.ReasonHeldByPartition, leaderworkersetv1.ReasonAllGroupsReady},
		},
		{
			"ready, and an obstacle: ready comes last", func(in *status.Input) { in.Set.Groups = nil },
			func(in *status.Input) {
				in.Obstacles = []status.Obstacle{{Reason: leaderworkersetv1.ReasonFailedUpdate, Message: "forbidden"}}
			},
			[]string{leaderworkersetv1.ReasonFailedUpdate, leaderworkersetv1.ReasonAllGroupsReady},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := newInput(2, "nn")
			if tc.before != nil {
				earlier := newInput(2, "nn")
				tc.before(&earlier)
				writeEarlier(earlier)
				in.Set.LWS.Status = earlier.Set.LWS.Status
			}
			tc.in(&in)
			_, events := status.Next(in)
			var got []string
			for _, event := range events {
				got = append(got, event.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsUrgent(t *testing.T) {
	type set = leaderworkersetv1.LeaderWorkerSetStatus
	for _, tc := range []struct {
		name   string
		change func(*set)
		want   bool
	}{
		{"nothing", func(*set) {}, false},
		{"numbers", func(s *set) { s.Replicas, s.ReadyReplicas, s.UpdatedReplicas = 3, 2, 1 }, false},
		{"unready groups", func(s *set) { s.UnreadyGroups = []leaderworkersetv1.UnreadyGroup{{Index: 1}} }, false},
		{"another generation", func(s *set) { s.ObservedGeneration++ }, true},
		{"a condition's message", func(s *set) { s.Conditions[0].Message = "2 of 3 groups are ready" }, false},
		{"a condition's status", func(s *set) { s.Conditions[0].Status = metav1.ConditionTrue }, true},
		{"a condition's reason", func(s *set) { s.Conditions[0].Reason = leaderworkersetv1.ReasonHeldByPartition }, true},
		{"stalled", func(s *set) {
			meta.SetStatusCondition(&s.Conditions, metav1.Condition{
				Type: leaderworkersetv1.ConditionStalled, Status: metav1.ConditionTrue,
			})
		}, true},
		{"another obstacle", func(s *set) { s.Conditions[1].Message = "quota" }, true},
		{"no more obstacle", func(s *set) { s.Conditions = s.Conditions[:1] }, true},
	} {
		before := &set{Conditions: []metav1.Condition{
			{
				Type: leaderworkersetv1.ConditionAvailable, Status: metav1.ConditionFalse,
				Reason: leaderworkersetv1.ReasonGroupsProgressing,
			},
			{
				Type: leaderworkersetv1.ConditionReplicaFailure, Status: metav1.ConditionTrue,
				Reason: leaderworkersetv1.ReasonFailedCreate,
			},
		}}
		next := before.DeepCopy()
		tc.change(next)
		if got := status.IsUrgent(before, next); got != tc.want {
			t.Errorf("%s: urgent: %t, want %t", tc.name, got, tc.want)
		}
	}
}
