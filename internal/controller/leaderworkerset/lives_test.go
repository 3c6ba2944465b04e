// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/record"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

func TestLives(t *testing.T) {
	set := types.NamespacedName{Namespace: "default", Name: "a"}
	begun := snapshot.Life{Leader: "1"}
	complete := snapshot.Life{Leader: "1", Fingerprint: "1-1", Members: map[int32]snapshot.Member{0: {UID: "1"}}}
	known := newLives()
	for _, step := range []struct {
		name string
		life snapshot.Life
		news bool
	}{
		{"no life yet", snapshot.Life{}, false},
		{"it begins", begun, false},
		{"it is complete", complete, true},
		{"as before", complete, false},
		{"it has failed", snapshot.Life{Leader: "1", Failure: "gone"}, true},
		{"it has ended", snapshot.Life{}, true},
	} {
		if got := known.put(set, 3, step.life); got != step.news {
			t.Errorf("%s: is news: %t, want %t", step.name, got, step.news)
		}
		if diff := cmp.Diff(step.life, known.get(set, 3)); diff != "" {
			t.Errorf("%s: life (-want +got):\n%s", step.name, diff)
		}
	}
	if got := len(known.bySet); got != 0 {
		t.Errorf("%d sets are remembered of which there is nothing to remember", got)
	}
}

func TestLivesOfASet(t *testing.T) {
	set, now := types.NamespacedName{Namespace: "default", Name: "a"}, time.Unix(1_700_000_000, 0)
	known := newLives()
	known.put(set, 0, snapshot.Life{Leader: "1"})
	known.setSeen(set, map[int32]snapshot.SeenLeader{0: {UID: "1"}})
	known.setRecorded(set, now)
	known.setTold(set, now.Add(time.Second))
	want := snapshot.Set{
		Lives:    map[int32]snapshot.Life{0: {Leader: "1"}},
		Seen:     map[int32]snapshot.SeenLeader{0: {UID: "1"}},
		Recorded: now,
		Told:     now.Add(time.Second),
	}
	var got snapshot.Set
	known.observe(set, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is known (-want +got):\n%s", diff)
	}
	known.forget(set)
	got = snapshot.Set{}
	known.observe(set, &got)
	if got.Seen != nil || len(got.Lives) > 0 || !got.Told.IsZero() {
		t.Errorf("known of a set that is gone: %+v", got)
	}
}

func TestLivesRemembered(t *testing.T) {
	set, known := types.NamespacedName{Name: "a"}, newLives()
	for _, life := range []string{"x", "x", "y"} {
		want := record.Groups{1: {Life: life}}
		if diff := cmp.Diff(want, known.remembered(set, record.Format(want))); diff != "" {
			t.Errorf("remembered (-want +got):\n%s", diff)
		}
	}
}
