// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// garbage returns a filler that fills values with anything, and leaves half of the pointers nil. It uses few numbers,
// so that some are equal.
func garbage(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.5).NumElements(0, 2).MaxDepth(12).Funcs(
		func(n *int32, c randfill.Continue) { *n = []int32{-1, 0, 1, 2, 3, 4, 100}[c.Intn(7)] },
		func(value *intstr.IntOrString, c randfill.Continue) {
			*value = []intstr.IntOrString{
				intstr.FromInt32(-1), intstr.FromInt32(0), intstr.FromInt32(2), intstr.FromInt32(2147483647), {Type: 7},
				intstr.FromString(""), intstr.FromString("x%"), intstr.FromString("10%"), intstr.FromString("-5%"),
				intstr.FromString("4000000000%"),
			}[c.Intn(10)]
		},
		func(data *runtime.RawExtension, c randfill.Continue) {
			data.Raw = []byte([]string{
				"", "{", "null", `{"spec":{"leaderWorkerTemplate":{}}}`,
				`{"spec":{"leaderWorkerTemplate":{"size":-1,"subGroupPolicy":{}},"networkConfig":{}}}`,
			}[c.Intn(5)])
		},
	)
}

// FuzzGarbage checks only that nothing panics. Older versions may have stored anything, and others may have written
// anything.
func FuzzGarbage(f *testing.F) {
	for seed := range int64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, seed int64) {
		filler := garbage(seed)
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		filler.Fill(lws)
		lws.Default()

		observed := garbageSet(filler, lws)
		planned, err := planAt(observed, now.Time)
		if err == nil {
			carryOut(observed, planned)
			_, _ = planAt(observed, now.Time)
		}
		for _, stored := range observed.Revisions {
			_, _ = revision.Parse(stored)
		}
		group.Next(garbageGroup(filler, observed))
		injectAll(lws)
	})
}

// garbageSet returns a set with children, some of which belong to it.
func garbageSet(filler *randfill.Filler, lws *leaderworkersetv1.LeaderWorkerSet) *world {
	observed := &world{Set: snapshot.Set{LWS: lws}}
	filler.Fill(&observed.Leaders)
	filler.Fill(&observed.Service)
	filler.Fill(&observed.LostWorkers)
	filler.Fill(&observed.Revisions)
	filler.Fill(&observed.memory.Obstacles)
	filler.Fill(&observed.memory.Record.Entries)
	for i := range observed.Revisions {
		if observed.Revisions[i] == nil {
			observed.Revisions[i] = &appsv1.ControllerRevision{}
		}
		adoptSome(lws, observed.Revisions[i])
	}
	if observed.Leaders == nil {
		return observed
	}
	adoptSome(lws, observed.Leaders)
	for index := range int32(3) {
		leader := &corev1.Pod{}
		filler.Fill(leader)
		leader.Name = identity.Leader(observed.Leaders.Name, index)
		group := snapshot.Group{Index: index, Leader: leader}
		filler.Fill(&group.Workers)
		observed.Groups = append(observed.Groups, group)
	}
	return observed
}

// adoptSome makes the set the owner of every second object.
func adoptSome(lws *leaderworkersetv1.LeaderWorkerSet, object metav1.Object) {
	if len(object.GetLabels())%2 == 0 {
		object.SetOwnerReferences([]metav1.OwnerReference{{UID: lws.UID, Controller: ptr.To(true)}})
	}
}

func garbageGroup(filler *randfill.Filler, observed *world) *snapshot.GroupMembers {
	members := &snapshot.GroupMembers{
		Index: 1, LWS: observed.LWS, Leaders: observed.Leaders, Revisions: observed.Revisions,
	}
	filler.Fill(&members.Leader)
	filler.Fill(&members.Workers)
	filler.Fill(&members.Service)
	filler.Fill(&members.Node)
	if members.Leader == nil || members.Leaders == nil {
		return members
	}
	members.Leader.DeletionTimestamp = nil
	members.Leader.OwnerReferences = []metav1.OwnerReference{{UID: members.Leaders.UID, Controller: ptr.To(true)}}
	if len(members.Revisions) > 0 {
		members.Leader.Labels = members.Revisions[0].Labels
	}
	return members
}

// injectAll builds the children of a set, and injects a pod of each.
func injectAll(lws *leaderworkersetv1.LeaderWorkerSet) {
	template := revision.TemplateOf(lws)
	leaders := desired.LeaderStatefulSet(lws, &template, "key", rollout.Step{})
	leader := &corev1.Pod{ObjectMeta: leaders.Spec.Template.ObjectMeta, Spec: leaders.Spec.Template.Spec}
	leader.Name = "x-1"
	_, _ = desired.Inject(leader)
	group := desired.Group{Index: 1, Leader: leader, Topology: desired.Topology{Key: "k", Value: "v"}}
	workers := desired.WorkerStatefulSet(lws, &template, "key", group)
	for _, name := range []string{"x-1-0", "x-1-1", "x-1-100", "x"} {
		made := workers.Spec.Template.DeepCopy()
		worker := &corev1.Pod{ObjectMeta: made.ObjectMeta, Spec: made.Spec}
		worker.Name = name
		_, _ = desired.Inject(worker)
	}
	desired.SharedService(lws)
	desired.GroupService(lws, group)
}
