// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
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
	for name, tc := range map[string]struct {
		change func(*appsv1.StatefulSetSpec)
		want   []string
	}{
		"highest first": {
			func(*appsv1.StatefulSetSpec) {},
			[]string{"check *v1.StatefulSet llama", "delete *v1.Pod llama-3", "delete *v1.Pod llama-2"},
		},
		"not if their claims are deleted with them": {func(spec *appsv1.StatefulSetSpec) {
			spec.VolumeClaimTemplates = make([]corev1.PersistentVolumeClaim, 1)
			spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lws := newSet()
			*lws.Spec.Replicas = 4
			observed := settled(t, lws)
			observed.Groups = observed.Groups[1:]
			carryOutAt(t, observed, 0)
			observed.Refusal = quota(time.Second)
			*lws.Spec.Replicas = 2
			carryOutAt(t, observed, 2*time.Second, "patch *v1.StatefulSet llama")
			tc.change(&observed.Leaders.Spec)
			lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy =
				observed.Leaders.Spec.PersistentVolumeClaimRetentionPolicy
			carryOutAt(t, observed, 3*time.Second, tc.want...)
		})
	}
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
	lws := newSet()
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
	observed := settled(t, lws)
	setImage(lws, "serve:2")
	carryOut(observed, at(t, observed, 0))
	settle(observed)
	carryOut(observed, at(t, observed, 0))
	settle(observed)
	refuseWorkers(observed, 0, 1)

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
