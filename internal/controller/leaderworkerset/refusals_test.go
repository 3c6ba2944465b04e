// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
)

// refusalOf returns an event about a StatefulSet.
func refusalOf(name string, uid types.UID, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: name + ".1", UID: "event"},
		InvolvedObject: corev1.ObjectReference{Kind: "StatefulSet", Name: name, UID: uid},
		Message:        message,
		Count:          1,
	}
}

// rejectionOf returns why the operator's webhook rejects a leader.
func rejectionOf(t *testing.T) string {
	t.Helper()
	leaders := &appsv1.StatefulSet{ObjectMeta: part("llama")}
	leaders.Spec.Template.Labels = map[string]string{leaderworkersetv1.RevisionLabelKey: "new"}
	leaders.UID = "leaders"
	leaders.Annotations = map[string]string{leaderworkersetv1.AheadAnnotationKey: `{"partition":4,"groups":[1]}`}
	leaders.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	pod := leaderOf(1)
	pod.ObjectMeta = controlled(pod.ObjectMeta, "leader", "leaders")
	rejection := release.Rejection(leaders, pod)
	if !release.IsRejection("create Pod llama-1 in StatefulSet llama failed error: " + rejection) {
		t.Fatalf("%q is no rejection", rejection)
	}
	return rejection
}

// TestRefusalsStartPasses checks which passes a refusal starts: those of its own StatefulSet alone.
func TestRefusalsStartPasses(t *testing.T) {
	leaders, workers := &appsv1.StatefulSet{ObjectMeta: part("llama")},
		&appsv1.StatefulSet{ObjectMeta: part("llama-1", "group-index", "1")}
	leaders.UID, workers.UID = "leaders", "workers"
	reader := cacheOf(t, setOfSize(20, 4), leaders, workers)
	for _, tc := range []struct {
		name        string
		refusal     *corev1.Event
		sets, group []string
	}{
		{"a leader's", refusalOf("llama", "leaders", "quota"), []string{"llama"}, nil},
		{"a worker's", refusalOf("llama-1", "workers", "quota"), nil, []string{"llama-1"}},
		{"of an earlier StatefulSet", refusalOf("llama", "earlier", "quota"), nil, nil},
		{"of a stranger's StatefulSet", refusalOf("other", "other", "quota"), nil, nil},
	} {
		if got := namesOf(toSetOfRefusal(reader)(t.Context(), tc.refusal)); !slices.Equal(got, tc.sets) {
			t.Errorf("%s: sets %v, want %v", tc.name, got, tc.sets)
		}
		if got := namesOf(toGroupOfRefusal(reader)(t.Context(), tc.refusal)); !slices.Equal(got, tc.group) {
			t.Errorf("%s: groups %v, want %v", tc.name, got, tc.group)
		}
	}
	batch := BatchOptions{MinDelay: time.Second, MaxDelay: time.Minute}
	delay := func(refusal *corev1.Event) time.Duration {
		return afterRefusal(reader, batch)(t.Context(), objectChange{after: refusal})
	}
	if got := delay(refusalOf("llama", "leaders", "")); got != time.Second {
		t.Errorf("a refusal waits for %s, want that of its set", got)
	}
	if got := delay(refusalOf("other", "other", "")); got != time.Minute {
		t.Errorf("a stranger's refusal waits for %s, want the longest", got)
	}
}

func namesOf(keys []types.NamespacedName) []string {
	var names []string
	for _, key := range keys {
		names = append(names, key.Name)
	}
	return names
}

func TestRefusalChanged(t *testing.T) {
	passes := refusalChanged()
	first, again := refusalOf("llama", "leaders", "quota"), refusalOf("llama", "leaders", "quota")
	again.Count++
	own := refusalOf("llama", "leaders", rejectionOf(t))
	if !passes.Create(event.TypedCreateEvent[*corev1.Event]{Object: first}) {
		t.Error("a refusal doesn't pass")
	}
	if passes.Create(event.TypedCreateEvent[*corev1.Event]{Object: own}) {
		t.Error("a rejection passes")
	}
	if !passes.Update(event.TypedUpdateEvent[*corev1.Event]{ObjectOld: first, ObjectNew: again}) {
		t.Error("a refusal that occurs again doesn't pass")
	}
	if passes.Update(event.TypedUpdateEvent[*corev1.Event]{ObjectOld: first, ObjectNew: first}) ||
		passes.Delete(event.TypedDeleteEvent[*corev1.Event]{Object: first}) {
		t.Error("a refusal passes that hasn't changed, or is deleted")
	}
}

// TestObserveRefusals observes a set without a leader: the latest refusal, and a pod in the way.
func TestObserveRefusals(t *testing.T) {
	lws, leaders := setOfSize(1, 1), &appsv1.StatefulSet{ObjectMeta: controlled(part("llama"), "leaders", "set")}
	lws.UID = "set"
	inTheWay := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "llama-0"}}
	o := &observer{
		Reader: cacheOf(t, lws, leaders, refusalOf("llama", "leaders", "quota"), refusalOf("other", "other", "quota")),
		live:   cacheOf(t, inTheWay),

		podGroups: newPodGroups(),
	}
	set, err := o.set(t.Context(), client.ObjectKeyFromObject(lws), true)
	if err != nil {
		t.Fatal(err)
	}
	if set.Refusal.Message != "quota" || !set.LookedForPod || set.InTheWay == nil {
		t.Errorf("refusal %+v, looked %t, found %v", set.Refusal, set.LookedForPod, set.InTheWay)
	}
	if got := indexRefusals(refusalOf("llama", "leaders", rejectionOf(t))); got != nil {
		t.Errorf("a rejection is indexed by %v", got)
	}
}

// TestTrimEvent keeps the time and count of events, whichever API they are written by.
func TestTrimEvent(t *testing.T) {
	began, later := metav1.NewMicroTime(time.Unix(100, 0)), metav1.NewMicroTime(time.Unix(200, 0))
	for name, tc := range map[string]struct {
		event     corev1.Event
		wantCount int32
		wantAt    time.Time
	}{
		"the core API":  {corev1.Event{Count: 3, LastTimestamp: metav1.NewTime(later.Time)}, 3, later.Time},
		"the newer API": {corev1.Event{EventTime: began}, 1, began.Time},
		"a series of events": {corev1.Event{
			EventTime: began, Series: &corev1.EventSeries{Count: 7, LastObservedTime: later},
		}, 7, later.Time},
	} {
		trimmed, err := trimEvent(&tc.event)
		event, ok := trimmed.(*corev1.Event)
		if err != nil || !ok || event.Count != tc.wantCount || !event.LastTimestamp.Time.Equal(tc.wantAt) {
			t.Errorf("%s: got %+v, %v; want %d at %s", name, trimmed, err, tc.wantCount, tc.wantAt)
		}
	}
}
