// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
)

// FuzzGarbage checks only that nothing panics. Older versions may have stored anything, and others may have written
// anything.
func FuzzGarbage(f *testing.F) {
	for seed := range int64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, seed int64) {
		filler := garbage(seed)
		set := &disaggregatedsetv1.DisaggregatedSet{}
		filler.Fill(set)
		set.Default()
		observed := &snapshot.Set{DSet: set, Scalers: map[string]*disaggregatedsetv1.DisaggregatedSetRoleScaler{}}
		current, _ := revision.Hash(set.Spec.Roles, 0)
		var children []*leaderworkersetv1.LeaderWorkerSet
		for i := range 4 {
			child := &leaderworkersetv1.LeaderWorkerSet{}
			filler.Fill(child)
			child.Default()
			child.OwnerReferences = []metav1.OwnerReference{{UID: set.UID, Controller: ptr.To(true)}}
			if i < len(set.Spec.Roles) {
				child.Labels = map[string]string{
					disaggregatedsetv1.RoleLabelKey: set.Spec.Roles[i].Name, disaggregatedsetv1.SliceLabelKey: "0",
					disaggregatedsetv1.RevisionLabelKey: []string{current, "", "a"}[i%3],
				}
				scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{}
				filler.Fill(scaler)
				observed.Scalers[set.Spec.Roles[i].Name] = scaler
			}
			children = append(children, child)
		}
		observed.Children = snapshot.Owned(set, children)
		service := &corev1.Service{}
		filler.Fill(service)
		observed.Services = []*corev1.Service{service}
		_, _ = plan.ForSet(observed, &plan.Memory{}, now.Add(time.Hour))
	})
}

// garbage returns a filler that fills values with anything, and leaves half of the pointers nil. It uses few numbers,
// so that some are equal.
func garbage(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.5).NumElements(0, 3).MaxDepth(12).Funcs(
		func(n *int32, c randfill.Continue) { *n = []int32{-1, 0, 1, 2, 3, 4, 100}[c.Intn(7)] },
		func(value *intstr.IntOrString, c randfill.Continue) {
			*value = []intstr.IntOrString{
				intstr.FromInt32(-1), intstr.FromInt32(0), intstr.FromInt32(2), {Type: 7}, intstr.FromString("x%"),
				intstr.FromString("10%"), intstr.FromString("4000000000%"),
			}[c.Intn(7)]
		},
	)
}
