// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// quota is a refusal at a time after the beginning.
func quota(after time.Duration) snapshot.Refusal {
	return snapshot.Refusal{Event: "event", Count: 1, At: now.Add(after), Message: "exceeded quota"}
}

// carryOutAt plans a pass after some time, checks its writes, and carries them out.
func carryOutAt(t *testing.T, observed *world, after time.Duration, want ...string) {
	t.Helper()
	planned := at(t, observed, after)
	wantWrites(t, "after "+after.String(), planned.Writes, want...)
	carryOut(observed, planned)
	observed.memory.Missing, observed.memory.Holds = planned.Missing, planned.Holds
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
}

// TestForSetDeletesSurplusLeaders scales down while the API server refuses leader 0. The StatefulSet controller doesn't
// come to the surplus leaders then.
func TestForSetDeletesSurplusLeaders(t *testing.T) {
	observed := scaledDownWhileRefused(t)
	carryOutAt(t, observed, 3*time.Second,
		"check *v1.StatefulSet llama", "delete *v1.Pod llama-3", "delete *v1.Pod llama-2")
}

// TestForSetGivesClaimsToSurplusLeaders scales down in the same way, with claims that are deleted with their leaders.
// Nobody controls the one, and the leader StatefulSet the other. The third is somebody else's.
func TestForSetGivesClaimsToSurplusLeaders(t *testing.T) {
	observed := scaledDownWhileRefused(t)
	claimOf := func(name string, owner metav1.Object) *corev1.PersistentVolumeClaim {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if owner != nil {
			claim.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, schema.GroupVersionKind{})}
		}
		return claim
	}
	observed.Groups[1].Claims = []*corev1.PersistentVolumeClaim{
		claimOf("data-llama-2", nil), claimOf("other-llama-2", observed.Groups[0].Leader),
	}
	observed.Groups[2].Claims = []*corev1.PersistentVolumeClaim{claimOf("data-llama-3", observed.Leaders)}
	planned := at(t, observed, 3*time.Second)
	wantWrites(t, "scale-down", planned.Writes, "check *v1.StatefulSet llama",
		"patch *v1.PersistentVolumeClaim data-llama-3", "patch *v1.PersistentVolumeClaim data-llama-2",
		"delete *v1.Pod llama-3", "delete *v1.Pod llama-2")
	for i, group := range []int{2, 1} {
		owners := planned.Writes[1+i].Patch.To.GetOwnerReferences()
		if len(owners) != 1 || owners[0].UID != observed.Groups[group].Leader.UID {
			t.Errorf("the claim of group %d has the owners %+v", group+1, owners)
		}
	}
}

// scaledDownWhileRefused returns a set that is scaled from 4 to 2 while the API server refuses leader 0.
func scaledDownWhileRefused(t *testing.T) *world {
	t.Helper()
	lws := newSet()
	*lws.Spec.Replicas = 4
	observed := settled(t, lws)
	observed.Groups = observed.Groups[1:]
	carryOutAt(t, observed, 0)
	observed.Refusal = quota(time.Second)
	*lws.Spec.Replicas = 2
	carryOutAt(t, observed, 2*time.Second, "patch *v1.StatefulSet llama")
	return observed
}

// TestForSetAsksForRetries changes the leader StatefulSet while a leader is refused: less and less often.
func TestForSetAsksForRetries(t *testing.T) {
	const retry = "patch *v1.StatefulSet llama"
	observed := settled(t, newSet())
	observed.Groups = observed.Groups[1:]
	carryOutAt(t, observed, 0)
	observed.Refusal = quota(time.Second)
	carryOutAt(t, observed, 2*time.Second)
	carryOutAt(t, observed, 10*time.Second, retry)
	first := observed.Leaders.Annotations[leaderworkersetv1.RetriedAtAnnotationKey]
	carryOutAt(t, observed, 29*time.Second)
	carryOutAt(t, observed, 30*time.Second, retry)
	if second := observed.Leaders.Annotations[leaderworkersetv1.RetriedAtAnnotationKey]; first == "" || first == second {
		t.Errorf("retries are at %q and %q", first, second)
	}
	if got := observed.LWS.Status.UnreadyGroups; len(got) != 1 || got[0].Message != "exceeded quota" {
		t.Errorf("unready groups are %+v", got)
	}
	observed.memory.FreedAt = now.Add(31 * time.Second)
	carryOutAt(t, observed, 33*time.Second, retry)
	settle(observed)
	observed.Refusal = snapshot.Refusal{}
	carryOutAt(t, observed, 34*time.Second)
	carryOutAt(t, observed, time.Hour)
}

// TestForSetHoldsAtARefusal updates groups 3 and 2. The API server refuses leader 2, as long as a surge group has its
// room, and then a worker of group 1. More groups might be unavailable, but none is replaced while a refusal is
// unconfirmed.
func TestForSetHoldsAtARefusal(t *testing.T) {
	lws := newSet()
	*lws.Spec.Replicas = 4
	budget := lws.Spec.RolloutStrategy.RollingUpdateConfiguration
	budget.MaxUnavailable = ptr.To(intstr.FromInt32(2))
	observed := settled(t, lws)
	setImage(lws, "serve:2")
	first := at(t, observed, 0)
	wantWrites(t, "at first", first.Writes[1:], "patch *v1.StatefulSet llama", "delete *v1.Pod llama-2",
		"delete *v1.Pod llama-3")
	carryOut(observed, first)
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	carryOutAt(t, observed, 0)

	budget.MaxUnavailable = ptr.To(intstr.FromInt32(3))
	observed.Refusal = quota(time.Second)
	carryOutAt(t, observed, time.Second)
	observed.Groups[1].Observed = &snapshot.Observation{Unconfirmed: true}
	carryOutAt(t, observed, 2*time.Second)
	observed.Groups[1].Observed.Unconfirmed = false
	carryOutAt(t, observed, 3*time.Second, "patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
}

// TestForSetDefersAGroup has room for 2 groups of 2. The surge group is ready and has to serve, and groups 0 and 1
// share the rest. Group 1 gives its room to group 0 for a minute, tries again for a minute, and gives it for longer.
// Once group 0 is ready, surge gives way, and group 1 is created.
func TestForSetDefersAGroup(t *testing.T) {
	const leaders = "patch *v1.StatefulSet llama"
	observed := withoutRoom(t)

	carryOutAt(t, observed, time.Second, leaders, "delete *v1.Pod llama-1")
	wantDeferred(t, observed, 1)
	carryOutAt(t, observed, 3*time.Second)
	got := observed.LWS.Status.UnreadyGroups
	if len(got) != 2 || !strings.HasPrefix(got[1].Message, "there is no room for all groups at once") {
		t.Errorf("unready groups are %+v", got)
	}
	carryOutAt(t, observed, time.Minute)
	carryOutAt(t, observed, time.Minute+time.Second, leaders)
	wantDeferred(t, observed)
	settle(observed)
	refuseWorkers(observed, 0, 1)
	carryOutAt(t, observed, 2*time.Minute)
	carryOutAt(t, observed, 2*time.Minute+time.Second, leaders, "delete *v1.Pod llama-1")
	carryOutAt(t, observed, 4*time.Minute)

	observed.Groups[0].Observed = nil // Its workers are ready.
	carryOutAt(t, observed, 4*time.Minute, leaders)
	wantDeferred(t, observed)
	if replicas := *observed.Leaders.Spec.Replicas; replicas != 2 {
		t.Errorf("%d groups exist at the end", replicas)
	}
}

// TestForSetDefersADegradedGroup defers a group that has no restarts left. Its count is kept, and the time in which the
// group has to run for the count to start over begins once it is no longer deferred.
func TestForSetDefersADegradedGroup(t *testing.T) {
	const leaders = "patch *v1.StatefulSet llama"
	observed := withoutRoom(t)
	entry := restart.Entry{
		Restarts: 3, LastRestart: now.Unix(), Reason: "it crashed", ExhaustedLeader: observed.Groups[1].Leader.UID,
	}
	observed.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](3)
	wantEntry := func(what string) {
		t.Helper()
		record := observed.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]
		if got := restart.ReadRecord(record, restart.StoredRecord{}).Entries[1]; got != entry {
			t.Errorf("%s: the entry is %+v, want %+v", what, got, entry)
		}
	}
	record := restart.Record{1: entry}.Format(restart.MaxRecordSize)
	observed.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey] = record

	carryOutAt(t, observed, time.Second, leaders, "delete *v1.Pod llama-1")
	wantDeferred(t, observed, 1)
	entry.ExhaustedLeader = ""
	wantEntry("deferred")
	carryOutAt(t, observed, 3*time.Second)
	carryOutAt(t, observed, time.Minute+time.Second, leaders)
	wantDeferred(t, observed)
	entry.LastRestart = now.Add(time.Minute + time.Second).Unix()
	wantEntry("no longer deferred")
}

// withoutRoom returns a set of 2 groups and a surge group, all of the current revision. The surge group is ready, and
// the API server refuses the workers of the others.
func withoutRoom(t *testing.T) *world {
	t.Helper()
	lws := newSet()
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
	observed := settled(t, lws)
	setImage(lws, "serve:2")
	carryOut(observed, at(t, observed, 0))
	settle(observed)
	carryOut(observed, at(t, observed, 0))
	settle(observed)
	refuseWorkers(observed, 0, 1)
	return observed
}

// refuseWorkers has the API server refuse the workers of groups.
func refuseWorkers(observed *world, indices ...int32) {
	for i, group := range observed.Groups {
		if slices.Contains(indices, group.Index) {
			observed.Groups[i].Observed = &snapshot.Observation{Leader: group.Leader.UID, RefusedWorkers: "exceeded quota"}
		}
	}
}

func wantDeferred(t *testing.T, observed *world, want ...int32) {
	t.Helper()
	if got := release.Of(observed.Leaders).Deferred; !slices.Equal(got, want) {
		t.Errorf("groups %d are deferred, want %d", got, want)
	}
}
