// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

func TestFailures(t *testing.T) {
	a, b := types.NamespacedName{Namespace: "default", Name: "a"}, types.NamespacedName{Namespace: "default", Name: "b"}
	quota, forbidden := snapshot.Failure{Group: 1, Message: "quota"}, snapshot.Failure{Group: 1, Message: "forbidden"}
	whole := snapshot.Failure{Group: snapshot.WholeSet, Message: "invalid"}
	known := newFailures()
	for _, step := range []struct {
		name    string
		set     types.NamespacedName
		group   int32
		failure *snapshot.Failure
		news    bool
		ofA     []snapshot.Failure
	}{
		{"nothing is wrong, as before", a, 1, nil, false, nil},
		{"a first failure", a, 1, &quota, true, []snapshot.Failure{quota}},
		{"the same again", a, 1, &quota, false, []snapshot.Failure{quota}},
		{"another one of the same group", a, 1, &forbidden, true, []snapshot.Failure{forbidden}},
		{"one of the whole set comes first", a, snapshot.WholeSet, &whole, true, []snapshot.Failure{whole, forbidden}},
		{"another set's", b, 1, &quota, true, []snapshot.Failure{whole, forbidden}},
		{"the group is well again", a, 1, nil, true, []snapshot.Failure{whole}},
		{"and stays so", a, 1, nil, false, []snapshot.Failure{whole}},
		{"the set is well again", a, snapshot.WholeSet, nil, true, nil},
	} {
		if got := known.note(step.set, step.group, step.failure); got != step.news {
			t.Errorf("%s: is news: %t, want %t", step.name, got, step.news)
		}
		if diff := cmp.Diff(step.ofA, known.of(a)); diff != "" {
			t.Errorf("%s: failures of a (-want +got):\n%s", step.name, diff)
		}
	}
	known.forget(b)
	if got := len(known.bySet); got != 0 {
		t.Errorf("%d sets are remembered, want none", got)
	}
}

// TestFailuresInParallel is for the race detector: groups are worked on at the same time.
func TestFailuresInParallel(t *testing.T) {
	set := types.NamespacedName{Name: "a"}
	known := newFailures()
	var group sync.WaitGroup
	for index := range int32(20) {
		group.Go(func() {
			known.note(set, index, &snapshot.Failure{Group: index})
			known.of(set)
		})
	}
	group.Wait()
	if got := len(known.of(set)); got != 20 {
		t.Errorf("%d failures, want 20", got)
	}
}
