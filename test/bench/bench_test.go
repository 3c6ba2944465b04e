// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// pod returns a pod in one of its states.
func pod(name, uid string, ready bool) *corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: image}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

// readyGroups returns two groups of two ready pods.
func readyGroups() *groups {
	g := newGroups()
	for _, name := range []string{"bench-0", "bench-0-1", "bench-1", "bench-1-1"} {
		g.observe(watch.Event{Type: watch.Added, Object: pod(name, name+"/1", false)})
		g.observe(watch.Event{Type: watch.Modified, Object: pod(name, name+"/1", true)})
	}
	g.begin(2)
	return g
}

func TestGroups(t *testing.T) {
	g := readyGroups()
	if err := g.check(4, image); err != nil {
		t.Error(err)
	}
	if fewest := g.fewestReady(); fewest != 2 {
		t.Errorf("%d groups are ready at the beginning", fewest)
	}
	terminating := pod("bench-1-1", "bench-1-1/1", true)
	terminating.DeletionTimestamp = &metav1.Time{}
	g.observe(watch.Event{Type: watch.Modified, Object: terminating})
	if err := g.check(4, image); err == nil {
		t.Error("a terminating pod counts as ready")
	}
	g.observe(watch.Event{Type: watch.Deleted, Object: terminating})
	g.observe(watch.Event{Type: watch.Added, Object: pod("bench-1-1", "bench-1-1/2", true)})
	if err := g.check(4, image); err != nil {
		t.Error(err)
	}
	if err := g.check(4, nextImage); err == nil {
		t.Error("pods with another image count")
	}
	if fewest := g.fewestReady(); fewest != 1 {
		t.Errorf("the smallest number of ready groups is %d, want 1", fewest)
	}
	g.observe(watch.Event{Type: watch.Error, Object: &metav1.Status{Message: "gone"}})
	if err := g.check(4, image); err == nil {
		t.Error("no error after the end of the watch")
	}
}

func TestAllMarked(t *testing.T) {
	g := readyGroups()
	for i, name := range []string{"bench-0", "bench-0-1", "bench-1", "bench-1-1"} {
		if _, all := g.allMarked(); all {
			t.Errorf("all are marked after %d of 4", i)
		}
		marked := pod(name, name+"/1", true)
		marked.DeletionTimestamp = &metav1.Time{}
		event := watch.Event{Type: watch.Modified, Object: marked}
		if i%2 == 0 { // A pod may be gone before anybody sees it terminate.
			event = watch.Event{Type: watch.Deleted, Object: pod(name, name+"/1", true)}
		}
		g.observe(event)
		g.observe(event)
		g.observe(watch.Event{Type: watch.Added, Object: pod("bench-2", "bench-2/1", false)})
	}
	at, all := g.allMarked()
	if !all || at.IsZero() {
		t.Errorf("marked: %t, at %s", all, at)
	}
	g.begin(2)
	if _, all := g.allMarked(); all {
		t.Error("the next scenario begins with marked pods")
	}
}

func TestRestarts(t *testing.T) {
	killed := map[int]string{0: "bench-0-1"}
	for _, test := range []struct {
		name    string
		created []string
		want    report.Restarts
	}{
		{"nothing happens", nil, report.Restarts{Killed: 1}},
		{"only the killed pod is recreated", []string{"bench-0-1"}, report.Restarts{Killed: 1}},
		{"the group is recreated", []string{"bench-0", "bench-0-1"}, report.Restarts{Killed: 1, Restarted: 1}},
		{"the StatefulSet recreates the pod before the group restarts", []string{"bench-0-1", "bench-0", "bench-0-1"},
			report.Restarts{Killed: 1, Restarted: 1}},
		{"the group restarts twice", []string{"bench-0", "bench-0-1", "bench-0", "bench-0-1"},
			report.Restarts{Killed: 1, Restarted: 1, Again: 1}},
		{"another group restarts a pod", []string{"bench-0", "bench-0-1", "bench-1"},
			report.Restarts{Killed: 1, Restarted: 1, Others: 1}},
	} {
		g := readyGroups()
		for i, name := range test.created {
			g.observe(watch.Event{Type: watch.Deleted, Object: pod(name, "", false)})
			g.observe(watch.Event{Type: watch.Added, Object: pod(name, string(rune('a'+i)), true)})
		}
		if diff := cmp.Diff(test.want, g.restarts(killed)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestRecreated(t *testing.T) {
	g := readyGroups()
	for i, name := range []string{"bench-0", "bench-0-1"} {
		if g.recreated(0) {
			t.Errorf("recreated with %d of 2 pods", i)
		}
		g.observe(watch.Event{Type: watch.Deleted, Object: pod(name, "", false)})
		g.observe(watch.Event{Type: watch.Added, Object: pod(name, "new", false)})
	}
	if g.recreated(0) {
		t.Error("recreated before its pods are ready")
	}
	for _, name := range []string{"bench-0", "bench-0-1"} {
		g.observe(watch.Event{Type: watch.Modified, Object: pod(name, "new", true)})
	}
	if !g.recreated(0) || g.recreated(1) {
		t.Error("want group 0 to be recreated, and no other")
	}
}

func TestGroupOf(t *testing.T) {
	for name, want := range map[string]int{"bench-3": 3, "bench-12-1": 12, "stranger-3": -1, "bench-x": -1} {
		if got := groupOf(name); got != want {
			t.Errorf("%s is in group %d, want %d", name, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	request := func(verb, resource string, code int) measure.Request {
		r := measure.Request{Verb: verb}
		r.User.Username = "mine"
		r.ObjectRef.Resource, r.ResponseStatus.Code = resource, code
		return r
	}
	byCollector := request("delete", "pods", 200)
	byCollector.User.Username = garbageCollector
	byStranger := request("get", "pods", 200)
	byStranger.User.Username = "mine-too"
	requests := []measure.Request{
		request("patch", "pods", 200), request("patch", "pods", 409), request("list", "pods", 200),
		request("get", "pods", 404), request("update", "leases", 200), request("watch", "nodes", 200),
		byCollector, byStranger,
	}
	var got report.Result
	count(requests, "mine", &got)
	countAll(requests, "mine", &got)
	want := report.Result{
		Writes:       map[string]int{"patch pods": 2},
		FailedWrites: map[string]int{"409 patch pods": 1},
		Reads:        map[string]int{"list pods": 1, "get pods": 1, "watch nodes": 1},
		ClusterRequests: map[string]map[string]int{
			report.Operator:         {"patch pods": 2, "list pods": 1, "get pods": 1},
			report.GarbageCollector: {"delete pods": 1},
			report.Others:           {"get pods": 1},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFloorSets(t *testing.T) {
	sets := floorSets(3, 4, "5s")
	pods := 0
	for _, set := range sets {
		pods += int(*set.Spec.Replicas)
	}
	if len(sets) != 4 || pods != 12 {
		t.Errorf("%d StatefulSets of %d pods for three groups of four", len(sets), pods)
	}
}

// TestFloorPairs checks that no StatefulSet selects the pods of another one.
func TestFloorPairs(t *testing.T) {
	sets := floorPairs(3, 2)
	if len(sets) != 6 || len(newSets(3, 2)) != 3 {
		t.Errorf("%d StatefulSets for three sets", len(sets))
	}
	names := map[string]bool{}
	for i, set := range sets {
		names[set.Name] = true
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range sets {
			if selects := selector.Matches(labels.Set(other.Spec.Template.Labels)); selects != (i == j) {
				t.Errorf("%s selects the pods of %s: %t", set.Name, other.Name, selects)
			}
		}
	}
	if len(names) != len(sets) {
		t.Errorf("names: %v", names)
	}
}

func TestSummaryPieces(t *testing.T) {
	o, err := parse([]string{"-summary", "many-200,recovery", "-runs", "3", "-keep"})
	if err != nil {
		t.Fatal(err)
	}
	if selected := o.summary.selections(); len(selected) != 2 || selected[1].profile != report.Defaults || o.runs != 3 {
		t.Errorf("parsed as %+v", o)
	}
	if o, err = parse([]string{"-summary", "all"}); err != nil || len(o.summary) != len(summaryPieces()) {
		t.Errorf("%d pieces, %v", len(o.summary), err)
	}
	for _, piece := range summaryPieces() {
		if err := piece.scenarios.Set(piece.scenarios.String()); err != nil {
			t.Errorf("%s: %v", piece.name, err)
		}
	}
}

// TestKeep adds to an earlier report, but not to one about something else.
func TestKeep(t *testing.T) {
	o := options{keep: true, out: t.TempDir(), controller: operator.Controller{Name: "mine", Command: []string{"none"}}}
	if found, err := begin(o); err != nil || len(found.Results) != 0 {
		t.Errorf("without an earlier report: %v, %v", found, err)
	}
	earlier := &report.Report{Controller: "mine", Results: []report.Result{{Key: report.Key{Scenario: report.Create}}}}
	if err := earlier.Write(o.file()); err != nil {
		t.Fatal(err)
	}
	if found, err := begin(o); err != nil || len(found.Results) != 1 {
		t.Errorf("with an earlier report: %v, %v", found, err)
	}
	o.controller.Command = []string{filepath.Join(o.out, "report.json")}
	if _, err := begin(o); err == nil {
		t.Error("no error for a report about another build")
	}
	o.keep = false
	if found, err := begin(o); err != nil || len(found.Results) != 0 {
		t.Errorf("without -keep: %v, %v", found, err)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-groups", "1,20", "-size", "3", "-scenarios", "slow,large", "-large", "2x7"})
	if err != nil {
		t.Fatal(err)
	}
	if o.groups.String() != "1,20" || o.size != 3 || o.scenarios.String() != "slow,large" || o.large.String() != "2x7" {
		t.Errorf("parsed as %+v", o)
	}
	for _, wrong := range [][]string{
		{"-groups", "1,"}, {"-groups", "0"}, {"-size", "1"}, {"-scenarios", "all"}, {"-large", "7"}, {"-profile", "fast"},
		{"-runs", "0"}, {"-failing", "1x4,"}, {"-summary", "recovery,some"},
	} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("no error for %v", wrong)
		}
	}
}
