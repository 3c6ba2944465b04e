// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package refusal_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

var began = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// refused returns the report of a refusal some seconds after the beginning.
func refused(event string, second int) snapshot.Refusal {
	return snapshot.Refusal{
		Event: "event", Count: 1, At: began.Add(time.Duration(second) * time.Second), Message: event,
	}
}

// pass is a pass some seconds after the beginning, and what it decides.
type pass struct {
	second   int
	missing  []int32
	latest   snapshot.Refusal
	freed    int // when room was freed; 0 for never
	looks    bool
	inTheWay refusal.Pod

	writeFails bool

	wantRefused     map[int32]string
	wantUnconfirmed bool
	wantInTheWay    string
	wantStalled     bool
	wantRetry       bool
	wantNext        time.Duration
}

func TestNext(t *testing.T) {
	none, terminating := []int32(nil), refusal.Pod{Name: "a-1", Terminating: true}
	quota, again := map[int32]string{1: "quota"}, refused("quota", 60)
	const taken = `pod "a-1" exists and does not belong to this LeaderWorkerSet`
	for name, passes := range map[string][]pass{
		"a pod that is created soon": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 1, missing: none},
		},
		"a refusal counts once the pod has been missing for a while": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 1, missing: []int32{1}, latest: refused("quota", 0), wantUnconfirmed: true,
				wantNext: time.Second},
			{second: 2, missing: []int32{1}, latest: refused("quota", 0), wantRefused: quota, wantStalled: true,
				wantNext: 8 * time.Second},
			{second: 3, missing: none, latest: refused("quota", 0)},
		},
		"the controller drops events soon after others": {
			{second: 60, missing: []int32{1}, latest: refused("quota", 50), wantNext: 5 * time.Second},
			{second: 64, missing: []int32{1}, latest: refused("quota", 50), wantStalled: true, wantNext: time.Second},
			{second: 65, missing: []int32{1}, latest: refused("quota", 50), looks: true, wantRefused: quota,
				wantStalled: true, wantNext: 5 * time.Second},
			{second: 66, missing: none, latest: refused("quota", 50)},
		},
		"the controller reports a refusal long after others": {
			{second: 360, missing: []int32{1}, latest: refused("quota", 50), wantNext: 5 * time.Second},
			{second: 365, missing: []int32{1}, latest: refused("quota", 50), looks: true, wantStalled: true,
				wantNext: 5 * time.Second},
		},
		"a pod of another owner explains more than an earlier refusal": {
			{second: 60, missing: []int32{1}, latest: refused("quota", 50), wantNext: 5 * time.Second},
			{second: 65, missing: []int32{1}, latest: refused("quota", 50), looks: true, inTheWay: terminating,
				wantStalled: true, wantNext: 5 * time.Second},
		},
		"an earlier refusal doesn't count": {
			{second: 60, missing: []int32{1}, latest: refused("quota", 50), wantNext: 5 * time.Second},
			{second: 63, missing: []int32{1}, latest: refused("quota", 50), wantStalled: true, wantNext: 2 * time.Second},
			{second: 63, missing: []int32{1}, latest: again, wantRefused: quota, wantStalled: true, wantNext: 7 * time.Second},
		},
		"a refusal counts for pods that were missing before it": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 3, missing: []int32{1, 2}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantNext: 2 * time.Second},
			{second: 60, missing: []int32{1, 2}, latest: again, wantRefused: map[int32]string{1: "quota", 2: "quota"},
				wantStalled: true, wantRetry: true, wantNext: 20 * time.Second},
		},
		"retries take longer and longer": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 10, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: 20 * time.Second},
			{second: 30, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: 40 * time.Second},
			{second: 70, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: time.Minute},
			{second: 130, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: time.Minute},
		},
		"a retry follows at once when room is freed": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 5, freed: 4, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: 2 * time.Second},
			{second: 6, freed: 4, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantNext: time.Second},
			{second: 7, freed: 4, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: 10 * time.Second},
		},
		"a retry that couldn't be written is due again": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 10, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: 20 * time.Second, writeFails: true},
			{second: 11, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantRetry: true, wantNext: 20 * time.Second},
			{second: 12, missing: []int32{1}, latest: refused("quota", 1), wantRefused: quota, wantStalled: true,
				wantNext: 19 * time.Second},
		},
		"without a reason, the controller is busy": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 59, missing: []int32{1}, wantStalled: true, wantNext: time.Millisecond},
			{second: 60, missing: []int32{1}, wantStalled: true, wantRetry: true, wantNext: time.Millisecond},
		},
		"a pod in the way is reported, and a retry follows its deletion": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 5, missing: []int32{1}, looks: true, inTheWay: refusal.Pod{Name: "a-1"}, wantInTheWay: taken,
				wantStalled: true, wantNext: 5 * time.Second},
			{second: 10, missing: []int32{1}, looks: true, wantStalled: true, wantRetry: true, wantNext: 2 * time.Second},
		},
		"a pod in the way that terminates isn't reported": {
			{missing: []int32{1}, wantNext: 5 * time.Second},
			{second: 5, missing: []int32{1}, looks: true, inTheWay: terminating, wantStalled: true, wantNext: 5 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var memory refusal.Memory
			for _, p := range passes {
				memory = p.check(t, memory)
			}
		})
	}
}

func (p pass) check(t *testing.T, memory refusal.Memory) refusal.Memory {
	t.Helper()
	now := began.Add(time.Duration(p.second) * time.Second)
	in := refusal.Input{
		Memory: memory, StatefulSet: "a", Missing: p.missing, Latest: p.latest, Looked: p.looks, InTheWay: p.inTheWay,
		Now: now, Options: refusal.DefaultOptions(),
	}
	if p.freed > 0 {
		in.FreedAt = began.Add(time.Duration(p.freed) * time.Second)
	}
	if looks := memory.Looks(now, in.Options); p.looks && !looks {
		t.Errorf("second %d: the pass doesn't look for a pod in the way", p.second)
	}
	got := refusal.Next(in)
	if diff := cmp.Diff(p.wantRefused, got.Refused); diff != "" && len(p.wantRefused)+len(got.Refused) > 0 {
		t.Errorf("second %d: refused (-want +got):\n%s", p.second, diff)
	}
	if got.Unconfirmed != p.wantUnconfirmed {
		t.Errorf("second %d: unconfirmed %t, want %t", p.second, got.Unconfirmed, p.wantUnconfirmed)
	}
	if got.InTheWay != p.wantInTheWay || got.Stalled != p.wantStalled || (got.Retry != "") != p.wantRetry ||
		got.RequeueAfter != p.wantNext {
		t.Errorf("second %d: in the way %q, stalled %t, retry %q, next after %s; want %q, %t, %t, %s", p.second,
			got.InTheWay, got.Stalled, got.Retry, got.RequeueAfter, p.wantInTheWay, p.wantStalled, p.wantRetry, p.wantNext)
	}
	if p.writeFails {
		return got.Memory.Unretried(&memory)
	}
	return got.Memory
}

// TestNextAfterAnAbsence begins with a refusal that an operator before this one has seen: the controller may wait for a
// long time, and the cause may be gone.
func TestNextAfterAnAbsence(t *testing.T) {
	got := refusal.Next(refusal.Input{
		StatefulSet: "a", Missing: []int32{0}, Latest: refused("quota", 0), Unknown: true,
		Now: began.Add(time.Hour), Options: refusal.DefaultOptions(),
	})
	if got.Retry == "" || len(got.Refused) > 0 {
		t.Errorf("retry %q, refused %v; want a retry, and none", got.Retry, got.Refused)
	}
}

// TestInputWith checks what a pass observed of a StatefulSet.
func TestInputWith(t *testing.T) {
	observed := snapshot.MissingPods{
		Refusal: refused("quota", 0), LookedForPod: true,
		InTheWay: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: "a-1", DeletionTimestamp: &metav1.Time{Time: began},
		}},
	}
	for _, tc := range []struct {
		name     string
		sts      *appsv1.StatefulSet
		missing  []int32
		observed snapshot.MissingPods
		want     refusal.Input
	}{
		{"no StatefulSet", nil, nil, snapshot.MissingPods{}, refusal.Input{Unknown: true}},
		{
			"a pod that terminates has the name",
			&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: "a"}}, []int32{1}, observed, refusal.Input{
				Unknown: true, StatefulSet: "a", Missing: []int32{1}, Latest: refused("quota", 0), Looked: true,
				InTheWay: refusal.Pod{Name: "a-1", Terminating: true},
			},
		},
	} {
		got := refusal.Input{Unknown: true}.With(tc.sts, tc.missing, tc.observed)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
