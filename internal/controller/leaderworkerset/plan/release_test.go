// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// TestForSetReplacesABrokenGroupAhead has group 0 of 2 broken, and the only group that may be down: group 1 has to stay, and the
// partition above it. The leader StatefulSet goes by OnDelete while group 0 is missing, and not a moment longer than its controller needs
// to notice.
func TestForSetReplacesABrokenGroupAhead(t *testing.T) {
	const (
		rolling  = appsv1.RollingUpdateStatefulSetStrategyType
		onDelete = appsv1.OnDeleteStatefulSetStrategyType
	)
	observed := settled(t, newSet())
	observed.Groups[0].Leader.Status.Conditions = nil
	setImage(observed.LWS, "serve:2")

	carryOut(observed, forSet(t, observed))
	wantRelease(t, observed.Leaders, rolling, release.Release{Partition: 2, Also: []int32{0}})
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation

	planned := forSet(t, observed)
	wantWrites(t, "with the order written", planned.Writes, "delete *v1.Pod llama-0")
	carryOut(observed, planned)

	planned = forSet(t, observed)
	wantWrites(t, "with group 0 gone", planned.Writes, "patch *v1.StatefulSet llama")
	carryOut(observed, planned)
	wantRelease(t, observed.Leaders, onDelete, release.Release{Partition: 2, Also: []int32{0}})
	wantWrites(t, "until it is back", forSet(t, observed).Writes)

	settle(observed)
	carryOut(observed, forSet(t, observed))
	wantRelease(t, observed.Leaders, rolling, release.Release{Partition: 0})

	settle(observed)
	carryOut(observed, forSet(t, observed)) // Group 1 goes.
	settle(observed)
	carryOut(observed, forSet(t, observed))
	if got := observed.Leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]; got != "" {
		t.Errorf("the order %q is left in the end", got)
	}
	wantWrites(t, "in the end", forSet(t, observed).Writes)
}

// TestForSetHasTheLowestMissingGroupCreated has an old group and one that goes ahead missing at the same time. The StatefulSet controller
// creates the lower one first, and gives up when that fails: the strategy has to be right for it.
func TestForSetHasTheLowestMissingGroupCreated(t *testing.T) {
	for _, tc := range []struct {
		name    string
		missing []int32
		want    appsv1.StatefulSetUpdateStrategyType
	}{
		{"the old group", []int32{0}, appsv1.RollingUpdateStatefulSetStrategyType},
		{"the old group and the one ahead", []int32{0, 1}, appsv1.RollingUpdateStatefulSetStrategyType},
		{"the one ahead", []int32{1}, appsv1.OnDeleteStatefulSetStrategyType},
		{"the one ahead, and a higher one that is old", []int32{1, 2}, appsv1.OnDeleteStatefulSetStrategyType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lws := newSet()
			*lws.Spec.Replicas = 4
			observed := settled(t, lws)
			observed.Groups[1].Leader.Status.Conditions = nil
			setImage(lws, "serve:2")
			carryOut(observed, forSet(t, observed))
			wantRelease(t, observed.Leaders, appsv1.RollingUpdateStatefulSetStrategyType, release.Release{Partition: 4, Also: []int32{1}})

			observed.Groups = slices.DeleteFunc(observed.Groups, func(g snapshot.Group) bool { return slices.Contains(tc.missing, g.Index) })
			carryOut(observed, forSet(t, observed))
			wantRelease(t, observed.Leaders, tc.want, release.Release{Partition: 4, Also: []int32{1}})
		})
	}
}

// TestForSetForgetsTheOrderOfAnEarlierRevision has another push while group 0, which was let go, is ready after all and still there: it
// goes first, and then ahead to the latest revision.
func TestForSetForgetsTheOrderOfAnEarlierRevision(t *testing.T) {
	observed := settled(t, newSet())
	observed.Groups[0].Leader.Status.Conditions = nil
	setImage(observed.LWS, "serve:2")
	carryOut(observed, forSet(t, observed))
	observed.Groups[0].Leader.Status.Conditions = observed.Groups[1].Leader.Status.Conditions
	observed.Leaders.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation

	setImage(observed.LWS, "serve:3")
	planned := forSet(t, observed)
	wantWrites(t, "the group that was let go ends first", planned.Writes[1:], "check *v1.StatefulSet llama", "delete *v1.Pod llama-0")
	carryOut(observed, planned)
	carryOut(observed, forSet(t, observed))
	wantRelease(t, observed.Leaders, appsv1.OnDeleteStatefulSetStrategyType, release.Release{Partition: 2, Also: []int32{0}})
}

// TestForSetConfirmsWhatMayBeLate has a group that isn't of the revision before the current one, as far as the leader StatefulSet tells: the
// view may be late, so that the StatefulSet is still as it was observed is confirmed first, also in a pass that changes it then.
func TestForSetConfirmsWhatMayBeLate(t *testing.T) {
	observed := settled(t, newSet())
	setImage(observed.LWS, "serve:2")
	carryOut(observed, forSet(t, observed))
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	observed.Leaders.Status.CurrentRevision = "llama-other"
	wantWrites(t, "in a view that may be late", forSet(t, observed).Writes,
		"check *v1.StatefulSet llama", "delete *v1.Pod llama-1")

	observed.memory.Incarnations = map[int32]restart.Incarnation{0: {Leader: observed.Groups[0].Leader.UID, Failure: "a container restarted", Crashed: true}}
	wantWrites(t, "when another group fails, which is written down", forSet(t, observed).Writes,
		"check *v1.StatefulSet llama", "patch *v1.StatefulSet llama", "delete *v1.Pod llama-0", "delete *v1.Pod llama-1")
}

func wantRelease(t *testing.T, leaders *appsv1.StatefulSet, strategy appsv1.StatefulSetUpdateStrategyType, want release.Release) {
	t.Helper()
	if got := leaders.Spec.UpdateStrategy.Type; got != strategy {
		t.Errorf("strategy %s, want %s", got, strategy)
	}
	if got := release.Of(leaders); !cmp.Equal(want, got, cmpopts.EquateEmpty()) {
		t.Errorf("release %+v, want %+v", got, want)
	}
}
