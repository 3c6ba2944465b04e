// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
)

// TestStepsAreCheckedFirst checks that a pass which may not know all writes before it first checks all children.
func TestStepsAreCheckedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 3), role("decode", 2))
	w.settle()
	for _, tt := range []struct {
		name          string
		image         string
		current       bool
		checks, total int
	}{
		{"at rest", "serve:1", false, 0, 0},
		{"an operator that knows", "serve:2", true, 0, 2},
		{"an operator that has just started", "serve:2", false, 2, 4},
	} {
		w.setImage(tt.image)
		var all []*leaderworkersetv1.LeaderWorkerSet
		for _, child := range w.children {
			all = append(all, child)
		}
		planned, err := plan.ForSet(&snapshot.Set{DSet: w.set, Children: snapshot.Owned(w.set, all)},
			&plan.Memory{Current: tt.current}, now)
		if err != nil {
			t.Fatal(err)
		}
		checks := 0
		for i := range planned.Writes {
			if planned.Writes[i].Check != nil {
				checks++
			}
		}
		if checks != tt.checks || len(planned.Writes) != tt.total {
			t.Errorf("%s: %d checks in %d writes", tt.name, checks, len(planned.Writes))
		}
	}
}

// TestRollbackWithoutBaseline goes back in the middle of a rollout of 3 and 2 groups, while the children lack their
// baselines. The baseline of an old child is what its role has in all revisions, not what is left of the child.
func TestRollbackWithoutBaseline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 3), role("decode", 2))
	w.settle()
	w.setImage("serve:2")
	for range 4 {
		w.pass()
	}
	before := map[string]int32{}
	for name, child := range w.children {
		before[name] = *child.Spec.Replicas
		delete(child.Annotations, disaggregatedsetv1.InitialReplicasAnnotationKey)
	}
	w.setImage("serve:1")
	w.pass()
	for name, child := range w.children {
		want := map[string]string{"prefill": "3", "decode": "2"}[child.Labels[disaggregatedsetv1.RoleLabelKey]]
		if got := child.Annotations[disaggregatedsetv1.InitialReplicasAnnotationKey]; before[name] > 0 && got != want {
			t.Errorf("%s with %d groups gets the baseline %s", name, before[name], got)
		}
	}
	w.settle()
	w.expect("llama-0-R-decode: 2 of 2", "llama-0-R-prefill: 3 of 3")
}

// TestChildrenMustBeNew creates the first children. A step ends at one that exists already, as its replicas may be
// others, and gives that child its labels back.
func TestChildrenMustBeNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 3), role("decode", 2))
	planned, err := plan.ForSet(&snapshot.Set{DSet: w.set}, &plan.Memory{Current: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"prefill", "decode"} {
		created := planned.Writes[i]
		if !created.MustBeNew || created.CacheLabels[disaggregatedsetv1.RoleLabelKey] != name {
			t.Errorf("%s: %+v", name, created)
		}
	}
}
