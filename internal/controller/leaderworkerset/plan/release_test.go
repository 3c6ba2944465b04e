// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// TestForSetReleasesABrokenGroup updates 2 groups, of which group 0 is broken and one may be unavailable. Group 1 has
// to stay, and the partition above it. The leader StatefulSet has the strategy OnDelete only while group 0 is missing.
func TestForSetReleasesABrokenGroup(t *testing.T) {
	const (
		rolling  = appsv1.RollingUpdateStatefulSetStrategyType
		onDelete = appsv1.OnDeleteStatefulSetStrategyType
	)
	observed := settled(t, newSet())
	observed.Groups[0].Leader.Status.Conditions = nil
	setImage(observed.LWS, "serve:2")

	planned := forSet(t, observed)
	wantWrites(t, "at first", planned.Writes[1:], "patch *v1.StatefulSet llama", "delete *v1.Pod llama-0")
	carryOut(observed, planned)
	wantRelease(t, observed.Leaders, rolling, release.Release{Partition: 2, Also: []int32{0}})

	planned = forSet(t, observed)
	wantWrites(t, "with group 0 deleted", planned.Writes, "patch *v1.StatefulSet llama")
	carryOut(observed, planned)
	wantRelease(t, observed.Leaders, onDelete, release.Release{Partition: 2, Also: []int32{0}})
	wantWrites(t, "until it is created", forSet(t, observed).Writes)

	settle(observed)
	carryOut(observed, forSet(t, observed))
	wantRelease(t, observed.Leaders, rolling, release.Release{Partition: 0})

	settle(observed)
	carryOut(observed, forSet(t, observed)) // Group 1 is deleted.
	settle(observed)
	carryOut(observed, forSet(t, observed))
	if got := observed.Leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]; got != "" {
		t.Errorf("the release %q is left at the end", got)
	}
	wantWrites(t, "at the end", forSet(t, observed).Writes)
}

// TestForSetStrategyFollowsTheLowestMissingGroup deletes outdated groups and a released one at the same time. The
// StatefulSet controller creates the lowest one first, and stops if that fails: the strategy has to be right for it.
func TestForSetStrategyFollowsTheLowestMissingGroup(t *testing.T) {
	for _, tc := range []struct {
		name    string
		missing []int32
		want    appsv1.StatefulSetUpdateStrategyType
	}{
		{"the outdated group", []int32{0}, appsv1.RollingUpdateStatefulSetStrategyType},
		{"the outdated group and the released one", []int32{0, 1}, appsv1.RollingUpdateStatefulSetStrategyType},
		{"the released one", []int32{1}, appsv1.OnDeleteStatefulSetStrategyType},
		{"the released one, and a higher one that is outdated", []int32{1, 2}, appsv1.OnDeleteStatefulSetStrategyType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lws := newSet()
			*lws.Spec.Replicas = 4
			observed := settled(t, lws)
			observed.Groups[1].Leader.Status.Conditions = nil
			setImage(lws, "serve:2")
			carryOutUntilDeletions(observed, forSet(t, observed))
			want := release.Release{Partition: 4, Also: []int32{1}}
			wantRelease(t, observed.Leaders, appsv1.RollingUpdateStatefulSetStrategyType, want)

			observed.Groups = slices.DeleteFunc(observed.Groups, func(g snapshot.Group) bool {
				return slices.Contains(tc.missing, g.Index)
			})
			carryOut(observed, forSet(t, observed))
			wantRelease(t, observed.Leaders, tc.want, want)
		})
	}
}

// TestForSetFinishesEarlierReleases pushes again after a crash of the operator: group 0 is released, ready again, and
// not deleted yet. The group is deleted first. Then it is released to the latest revision.
func TestForSetFinishesEarlierReleases(t *testing.T) {
	observed := settled(t, newSet())
	observed.Groups[0].Leader.Status.Conditions = nil
	setImage(observed.LWS, "serve:2")
	carryOutUntilDeletions(observed, forSet(t, observed))
	observed.Groups[0].Leader.Status.Conditions = observed.Groups[1].Leader.Status.Conditions
	observed.Leaders.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation

	setImage(observed.LWS, "serve:3")
	planned := forSet(t, observed)
	wantWrites(t, "the released group is deleted first", planned.Writes[1:], "check *v1.StatefulSet llama",
		"delete *v1.Pod llama-0")
	carryOut(observed, planned)
	carryOut(observed, forSet(t, observed))
	wantRelease(t, observed.Leaders, appsv1.OnDeleteStatefulSetStrategyType,
		release.Release{Partition: 2, Also: []int32{0}})
}

// TestForSetChecksLateViews replaces a group that, by the status of the leader StatefulSet, isn't of the revision
// before the current one. The view may be late, so the pass checks the StatefulSet first, also if the pass changes it
// then.
func TestForSetChecksLateViews(t *testing.T) {
	observed := settled(t, newSet())
	setImage(observed.LWS, "serve:2")
	carryOutUntilDeletions(observed, forSet(t, observed))
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	observed.Leaders.Status.CurrentRevision = "llama-other"
	wantWrites(t, "in a view that may be late", forSet(t, observed).Writes,
		"check *v1.StatefulSet llama", "delete *v1.Pod llama-1")

	observed.memory.Incarnations = map[int32]restart.Incarnation{
		0: {Leader: observed.Groups[0].Leader.UID, Failure: restart.Failure{Message: "a container restarted", Crashed: true}},
	}
	wantWrites(t, "when another group fails, which is recorded", forSet(t, observed).Writes,
		"check *v1.StatefulSet llama", "patch *v1.StatefulSet llama", "delete *v1.Pod llama-0", "delete *v1.Pod llama-1")
}

func wantRelease(
	t *testing.T, leaders *appsv1.StatefulSet, strategy appsv1.StatefulSetUpdateStrategyType, want release.Release,
) {
	t.Helper()
	if got := leaders.Spec.UpdateStrategy.Type; got != strategy {
		t.Errorf("strategy %s, want %s", got, strategy)
	}
	if got := release.Of(leaders); !cmp.Equal(want, got, cmpopts.EquateEmpty()) {
		t.Errorf("release %+v, want %+v", got, want)
	}
}

// TestForSetIgnoresReleasesOfEarlierRevisions releases group 0 to a revision. Another controller of LeaderWorkerSets
// ends that rollout and begins the next one. It leaves the operator's annotation as it is. The operator that comes back
// replaces groups from the highest index on, and removes the annotation.
func TestForSetIgnoresReleasesOfEarlierRevisions(t *testing.T) {
	lws := newSet()
	*lws.Spec.Replicas = 4
	observed := settled(t, lws)
	ready := observed.Groups[1].Leader.Status.Conditions
	observed.Groups[0].Leader.Status.Conditions = nil
	setImage(lws, "serve:2")
	carryOutUntilDeletions(observed, forSet(t, observed))
	stale := observed.Leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]
	observed.Groups[0].Leader.Status.Conditions = ready

	setImage(lws, "serve:3")
	for range 2 { // Group 0 at the second revision, and then group 3 at the third one.
		carryOut(observed, forSet(t, observed))
		settle(observed)
	}
	observed.Leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] = stale
	observed.Leaders.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](4)
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	wantRelease(t, observed.Leaders, appsv1.RollingUpdateStatefulSetStrategyType, release.Release{Partition: 4})

	planned := forSet(t, observed)
	wantWrites(t, "after the return", planned.Writes, "patch *v1.StatefulSet llama", "delete *v1.Pod llama-2")
	carryOutUntilDeletions(observed, planned)
	wantRelease(t, observed.Leaders, appsv1.RollingUpdateStatefulSetStrategyType, release.Release{Partition: 2})
	if got := observed.Leaders.Annotations[leaderworkersetv1.AheadAnnotationKey]; got != "" {
		t.Errorf("the release %q of the second revision is left", got)
	}
}
