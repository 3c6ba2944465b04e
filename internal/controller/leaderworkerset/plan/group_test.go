// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// newMembers returns group 1 of a settled set.
func newMembers(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *snapshot.GroupMembers {
	t.Helper()
	observed := settled(t, lws)
	members := &snapshot.GroupMembers{
		LWS: lws, Leaders: observed.Leaders, Index: 1,
		Leader: observed.Groups[1].Leader, Workers: observed.Groups[1].Workers, Revisions: observed.Revisions,
	}
	owner := metav1.NewControllerRef(observed.Leaders, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	members.Leader.OwnerReferences = []metav1.OwnerReference{*owner}
	return members
}

func TestForGroup(t *testing.T) {
	type members = snapshot.GroupMembers
	for _, tc := range []struct {
		name   string
		change func(*members)
		action group.Action
		writes []string
	}{
		{"at rest", func(*members) {}, group.UpdateWorkers, nil},
		{
			"leader is missing", func(m *members) { m.Leader = nil },
			group.StopWorkers, []string{"delete *v1.StatefulSet llama-1"},
		},
		{"leader and workers are missing", func(m *members) { m.Leader, m.Workers = nil, nil }, group.Wait, nil},
		{
			"leader terminates", func(m *members) { m.Leader.DeletionTimestamp = &now },
			group.StopWorkers, []string{"delete *v1.StatefulSet llama-1"},
		},
		{
			"leader has waited for the previous group",
			func(m *members) {
				m.Workers = nil
				m.Leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.PreviousGroupSchedulingGate}}
			},
			group.UngateLeader, []string{"patch *v1.Pod llama-1"},
		},
		{
			"workers are missing", func(m *members) { m.Workers = nil },
			group.CreateWorkers, []string{"create *v1.StatefulSet llama-1"},
		},
		{
			"a user scaled the workers", func(m *members) { m.Workers.Spec.Replicas = ptr.To[int32](7) },
			group.UpdateWorkers, []string{"patch *v1.StatefulSet llama-1"},
		},
		{
			"the set's labels changed", func(m *members) { m.LWS.Labels = map[string]string{"team": "inference"} },
			group.UpdateWorkers, []string{"patch *v1.StatefulSet llama-1"},
		},
		{
			"the set has another template and size: the rollout updates groups",
			func(m *members) {
				setImage(m.LWS, "serve:2")
				m.LWS.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](5)
			},
			group.UpdateWorkers, nil,
		},
		{
			"a StatefulSet without its template in the cache, with defaults and labels of others",
			func(m *members) {
				m.Workers.Spec.Template = corev1.PodTemplateSpec{}
				m.Workers.Spec.VolumeClaimTemplates = nil
				m.Workers.Spec.RevisionHistoryLimit = ptr.To[int32](10)
				m.Workers.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{
					Type:          appsv1.RollingUpdateStatefulSetStrategyType,
					RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](0)},
				}
				m.Workers.Labels["team"] = "inference"
			},
			group.UpdateWorkers, nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMembers(t, newSet())
			tc.change(m)
			planned := group.Next(m)
			if planned.Action != tc.action {
				t.Errorf("got %s, want %s", planned.Action, tc.action)
			}
			if diff := cmp.Diff(tc.writes, described(planned.Writes)); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForGroupCreatesItsService(t *testing.T) {
	lws := newSet()
	lws.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
	m := newMembers(t, lws)
	planned := group.Next(m)
	wantWrites(t, "without it", planned.Writes, "create *v1.Service llama-1")
	m.Service = as[*corev1.Service](t, planned.Writes[0].Create)
	wantWrites(t, "with it", group.Next(m).Writes)
}

// TestForGroupDeletesOrphans handles workers that a deletion of their leader with --cascade=orphan left: the next
// leader gets new ones.
func TestForGroupDeletesOrphans(t *testing.T) {
	m := newMembers(t, newSet())
	m.Workers.OwnerReferences = nil
	wantWrites(t, "with orphaned workers", group.Next(m).Writes, "delete *v1.StatefulSet llama-1")
}

// TestForGroupDeletesOrphanedPods handles pods that a deletion of their StatefulSet with --cascade=orphan left: they
// have the names of the next ones.
func TestForGroupDeletesOrphanedPods(t *testing.T) {
	m := newMembers(t, newSet())
	m.Workers = nil
	m.WorkerPods = []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-1-1", Namespace: "default",
		Labels: map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey("default", "llama-1")},
	}}}
	wantWrites(t, "with an orphaned pod", group.Next(m).Writes, "delete *v1.Pod llama-1-1")
	m.WorkerPods[0].DeletionTimestamp = &now
	wantWrites(t, "while it terminates", group.Next(m).Writes)
	m.WorkerPods = nil
	wantWrites(t, "once it is deleted", group.Next(m).Writes, "create *v1.StatefulSet llama-1")
}

// TestForGroupRelabelsWorkers handles a worker StatefulSet without its labels: the cache shows only its pods.
func TestForGroupRelabelsWorkers(t *testing.T) {
	m := newMembers(t, newSet())
	workers := m.Workers
	m.WorkerPods = []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-1-1", Namespace: "default",
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(workers, appsv1.SchemeGroupVersion.WithKind("StatefulSet")),
		},
	}}}
	m.Workers = nil
	planned := group.Next(m)
	wantWrites(t, "without their StatefulSet", planned.Writes,
		"patch *v1.PartialObjectMetadata llama-1", "delete *v1.Pod llama-1-1")
	if owner := planned.Writes[1].OwnerMustBeGone; owner == nil || owner.UID != workers.UID {
		t.Errorf("pods are deleted if %v is gone, want their StatefulSet", owner)
	}
	relabeled := planned.Writes[0].Patch.To
	if planned.Writes[0].If != write.SameUID || relabeled.GetUID() != workers.UID {
		t.Errorf("UID is %q, want the owner of the pods, %q", relabeled.GetUID(), workers.UID)
	}
	want := maps.Clone(workers.Labels)
	delete(want, leaderworkersetv1.RevisionLabelKey)
	if diff := cmp.Diff(want, relabeled.GetLabels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestForGroupReportsATakenName(t *testing.T) {
	m := newMembers(t, newSet())
	m.Workers.OwnerReferences, m.Workers.Labels = nil, map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	planned := group.Next(m)
	const want = `StatefulSet "llama-1" exists and does not belong to this LeaderWorkerSet`
	if planned.Action != group.Blocked || planned.Reason != want {
		t.Errorf("got %s: %s, want to be blocked: %s", planned.Action, planned.Reason, want)
	}
	if len(planned.Writes) > 0 {
		t.Errorf("got writes %q, want none", described(planned.Writes))
	}
}

// TestForGroupKeepsGatesOfOthers removes only the operator's own gate from the leader.
func TestForGroupKeepsGatesOfOthers(t *testing.T) {
	members := newMembers(t, newSet())
	members.Workers = nil
	before := []corev1.PodSchedulingGate{
		{Name: "example.com/a"}, {Name: leaderworkersetv1.PreviousGroupSchedulingGate}, {Name: "example.com/b"},
	}
	members.Leader.Spec.SchedulingGates = slices.Clone(before)
	ungated := as[*corev1.Pod](t, group.Next(members).Writes[0].Patch.To)
	want := []corev1.PodSchedulingGate{{Name: "example.com/a"}, {Name: "example.com/b"}}
	if diff := cmp.Diff(want, ungated.Spec.SchedulingGates); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, members.Leader.Spec.SchedulingGates); diff != "" {
		t.Errorf("the observed pod was changed (-before +after):\n%s", diff)
	}
}
