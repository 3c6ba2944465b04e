// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/kstatus"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// fault returns a fault of pods, whose names are separated by blanks.
func fault(reason leaderworkersetv1.UnreadyReason, pods, text string) snapshot.Fault {
	return snapshot.Fault{Reason: reason, Pods: strings.Fields(pods), Text: text}
}

// observed is what a pass over a group with faults observes.
func observed(faults ...snapshot.Fault) *snapshot.Observation {
	return &snapshot.Observation{Faults: faults}
}

const (
	noNode    = "0/24 nodes are available: 24 Insufficient nvidia.com/gpu."
	killed    = "OOMKilled, exit code 137, 4 restarts"
	notFound  = "ErrImagePull: serve:typo: not found"
	kueueGate = "waits for kueue.x-k8s.io/admission"
)

// TestUnreadyGroupsSayWhy checks the words of status.unreadyGroups.
func TestUnreadyGroupsSayWhy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		faults  []snapshot.Fault
		reason  leaderworkersetv1.UnreadyReason
		message string
	}{
		{"no fault", nil, leaderworkersetv1.UnreadyLeader, "the leader pod isn't ready"},
		{
			"workers that no node can take",
			[]snapshot.Fault{fault(leaderworkersetv1.UnreadyUnschedulable, "llama-0-2 llama-0-3", noNode)},
			leaderworkersetv1.UnreadyUnschedulable, "llama-0-2, llama-0-3: " + noNode,
		},
		{
			"all pods of a group are gated",
			[]snapshot.Fault{
				fault(leaderworkersetv1.UnreadyGated, "llama-0 llama-0-1 llama-0-2 llama-0-3 llama-0-4", kueueGate),
			},
			leaderworkersetv1.UnreadyGated, "llama-0, llama-0-1, llama-0-2 and 2 more: " + kueueGate,
		},
		{
			"an image can't be pulled", []snapshot.Fault{fault(leaderworkersetv1.UnreadyImagePull, "llama-0-1", notFound)},
			leaderworkersetv1.UnreadyImagePull, "llama-0-1: " + notFound,
		},
		{
			"a container crashes", []snapshot.Fault{fault(leaderworkersetv1.UnreadyCrashLoop, "llama-0-2", killed)},
			leaderworkersetv1.UnreadyCrashLoop, "llama-0-2: " + killed,
		},
		{
			"several faults",
			[]snapshot.Fault{
				fault(leaderworkersetv1.UnreadyUnschedulable, "llama-0-2", noNode),
				fault(leaderworkersetv1.UnreadyCrashLoop, "llama-0", killed),
			},
			leaderworkersetv1.UnreadyUnschedulable, "llama-0-2: " + noNode + "; llama-0: " + killed,
		},
	} {
		in := newInput(1, "w")
		in.Set.Groups[0].Observed = observed(tc.faults...)
		next, _ := status.Next(in)
		if got := next.UnreadyGroups[0]; got.Reason != tc.reason || got.Message != tc.message {
			t.Errorf("%s: got %s, %q, want %s, %q", tc.name, got.Reason, got.Message, tc.reason, tc.message)
		}
	}
}

// TestFaultsOfReadyGroups checks that a late report of faults doesn't make a ready group unready, and that the wait for
// the group's previous incarnation comes before the gates of others.
func TestFaultsOfReadyGroups(t *testing.T) {
	in := newInput(2, "nw")
	in.Set.Groups[0].Observed = observed(fault(leaderworkersetv1.UnreadyCrashLoop, "llama-0", killed))
	in.Set.Groups[1].Observed = observed(fault(leaderworkersetv1.UnreadyGated, "llama-1", kueueGate))
	in.Set.Groups[1].Leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{
		{Name: leaderworkersetv1.PreviousGroupSchedulingGate}, {Name: "kueue.x-k8s.io/admission"},
	}
	next, _ := status.Next(in)
	if len(next.UnreadyGroups) != 1 || next.UnreadyGroups[0].Reason != leaderworkersetv1.UnreadyPreviousGroup {
		t.Errorf("unready groups are %+v, want group 1, which waits for its previous incarnation", next.UnreadyGroups)
	}
}

// TestFaultsOutliveTheProcess starts an operator that hasn't observed the groups yet: the status stays as it is.
func TestFaultsOutliveTheProcess(t *testing.T) {
	in := newInput(2, "ww")
	in.Set.Groups[0].Observed = observed(fault(leaderworkersetv1.UnreadyCrashLoop, "llama-0", killed))
	in.Set.Groups[1].Observed = observed()
	writeEarlier(in)
	in.Set.Groups[0].Observed, in.Set.Groups[1].Observed = nil, nil
	next, _ := status.Next(in)
	for i, want := range in.Set.LWS.Status.UnreadyGroups {
		if got := next.UnreadyGroups[i]; got != want {
			t.Errorf("before a pass over the group: got %+v, want %+v", got, want)
		}
	}
	in.Set.Groups[0].Observed = observed()
	next, _ = status.Next(in)
	if got := next.UnreadyGroups[0].Reason; got != leaderworkersetv1.UnreadyLeader {
		t.Errorf("after a pass that observed no fault: got %s, want %s", got, leaderworkersetv1.UnreadyLeader)
	}
}

// TestFaultMessagesAreBounded checks the lengths that the CRD allows.
func TestFaultMessagesAreBounded(t *testing.T) {
	in := newInput(1, "w")
	var faults []snapshot.Fault
	for worker := range 200 {
		name := strings.Repeat("l", 50) + fmt.Sprintf("-0-%d", worker)
		faults = append(faults, fault(leaderworkersetv1.UnreadyCrashLoop, name, strings.Repeat("ü", 600)))
	}
	in.Set.Groups[0].Observed = observed(faults...)
	next, _ := status.Next(in)
	message := next.UnreadyGroups[0].Message
	if utf8.RuneCountInString(message) > 1024 || !utf8.ValidString(message) {
		t.Errorf("message has %d characters, valid %t", utf8.RuneCountInString(message), utf8.ValidString(message))
	}
}

func TestDifferInTexts(t *testing.T) {
	type set = leaderworkersetv1.LeaderWorkerSetStatus
	for _, tc := range []struct {
		name   string
		change func(*set)
		want   bool
	}{
		{"nothing", func(*set) {}, false},
		{"another text", func(s *set) { s.UnreadyGroups[0].Message = "llama-1-2: 0/25 nodes are available" }, true},
		{"a count", func(s *set) { s.UnreadyGroups[1].Message = "2 of 3 workers are ready" }, true},
		{"another pod", func(s *set) { s.UnreadyGroups[0].Message = "llama-1-3: 0/24 nodes are available" }, false},
		{"another reason", func(s *set) { s.UnreadyGroups[0].Reason = leaderworkersetv1.UnreadyCrashLoop }, false},
		{"another restart", func(s *set) { s.UnreadyGroups[0].Restarts = 1 }, false},
		{"a group less", func(s *set) { s.UnreadyGroups = s.UnreadyGroups[:1] }, false},
		{"another text, and a count", func(s *set) {
			s.UnreadyGroups[0].Message, s.ReadyReplicas = "llama-1-2: 0/25 nodes are available", 1
		}, false},
	} {
		before := &set{UnreadyGroups: []leaderworkersetv1.UnreadyGroup{
			{
				Index: 1, Reason: leaderworkersetv1.UnreadyUnschedulable, Since: before,
				Message: "llama-1-2: 0/24 nodes are available",
			},
			{Index: 2, Reason: leaderworkersetv1.UnreadyWorkers, Since: before, Message: "1 of 3 workers are ready"},
		}}
		next := before.DeepCopy()
		tc.change(next)
		if got := status.DifferInTexts(before, next); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestStalled follows the conditions of kstatus through time.
func TestStalled(t *testing.T) {
	refused := []status.Obstacle{{Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate, Message: "group 1: quota"}}
	exhausted := map[int32]restart.Crash{1: {Exhausted: "pod llama-1 failed"}}
	for _, tc := range []struct {
		name      string
		groups    string
		obstacles []status.Obstacle
		crashes   map[int32]restart.Crash
		after     time.Duration // since the first status
		want      string        // the condition that is True
		wait      time.Duration // until the set is stalled
	}{
		{"ready", "nn", nil, nil, time.Hour, "", 0},
		{"starting", "nw", nil, nil, time.Hour, leaderworkersetv1.ConditionReconciling, 0},
		{"refused at once", "nw", refused, nil, 0, leaderworkersetv1.ConditionReconciling, 5 * time.Minute},
		{
			"refused for 4 minutes", "nw", refused, nil, 4 * time.Minute,
			leaderworkersetv1.ConditionReconciling, time.Minute,
		},
		{"refused for 5 minutes", "nw", refused, nil, 5 * time.Minute, leaderworkersetv1.ConditionStalled, 0},
		{"refused for 5 minutes, and ready", "nn", refused, nil, 5 * time.Minute, leaderworkersetv1.ConditionStalled, 0},
		{"no restarts left", "nw", nil, exhausted, 0, leaderworkersetv1.ConditionStalled, 0},
		{"refused, and no restarts left", "nw", refused, exhausted, 0, leaderworkersetv1.ConditionStalled, 0},
	} {
		in := newInput(2, tc.groups)
		in.Obstacles, in.Crashes = tc.obstacles, tc.crashes
		writeEarlier(in)
		in.Now = metav1.NewTime(before.Add(tc.after))
		next, events := status.Next(in)
		var got []string
		for _, kind := range []string{leaderworkersetv1.ConditionReconciling, leaderworkersetv1.ConditionStalled} {
			if condition := meta.FindStatusCondition(next.Conditions, kind); condition != nil {
				got = append(got, kind)
				if condition.Status != metav1.ConditionTrue || condition.Message == "" {
					t.Errorf("%s: %s is %+v, want True and a message", tc.name, kind, condition)
				}
			}
		}
		if strings.Join(got, " ") != tc.want || len(events) > 0 {
			t.Errorf("%s: got %q and events %v, want %q and none", tc.name, got, events, tc.want)
		}
		if wait := kstatus.UntilStalled(next.Conditions, in.Now.Time); wait != tc.wait {
			t.Errorf("%s: stalled after %s, want %s", tc.name, wait, tc.wait)
		}
	}
}

func TestUpdateRevision(t *testing.T) {
	if next, _ := status.Next(newInput(1, "n")); next.UpdateRevision != "new" {
		t.Errorf("updateRevision is %q, want the key of the current revision", next.UpdateRevision)
	}
}
