// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/bench/report"
)

// roleNames are the roles of each DisaggregatedSet. Each role has one group of manySize pods: as many
// LeaderWorkerSets of one group as the scenario of many sets has.
var roleNames = []string{"prefill", "decode"}

// roles creates DisaggregatedSets at once, and rolls all of them out at once.
func (s *scenarios) roles(ctx context.Context, count int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := b.installWarm(ctx); err != nil {
			return err
		}
		children := count * len(roleNames)
		created := task{
			key: report.Key{Scenario: report.Roles, Groups: children, Size: manySize},
			do: func(ctx context.Context) error {
				return inParallel(ctx, count, func(i int) error { return b.sets.Create(ctx, newRoles(i)) })
			},
			pods: b.pods(children*manySize, image), status: b.rolesAvailable(count), statusPoll: manyStatusPoll,
		}
		updated := created
		updated.key.Scenario, updated.pods = report.RolesUpdate, b.pods(children*manySize, nextImage)
		updated.do = func(ctx context.Context) error {
			return inParallel(ctx, count, func(i int) error { return b.updateRoles(ctx, i) })
		}
		return s.measure(ctx, b, created, updated)
	})
}

// newRoles returns one of many DisaggregatedSets.
func newRoles(index int) *disaggregatedsetv1.DisaggregatedSet {
	set := &disaggregatedsetv1.DisaggregatedSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", setName, index)},
	}
	for _, name := range roleNames {
		set.Spec.Roles = append(set.Spec.Roles, disaggregatedsetv1.DisaggregatedRoleSpec{
			Name: name,
			Spec: leaderworkersetv1.LeaderWorkerSetSpec{
				Replicas: ptr.To[int32](1),
				LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
					Size: ptr.To[int32](manySize), WorkerTemplate: corev1.PodTemplateSpec{Spec: podSpec(nil)},
				},
			},
		})
	}
	return set
}

// updateRoles changes the image of all roles of a DisaggregatedSet.
func (b *bed) updateRoles(ctx context.Context, index int) error {
	set := newRoles(index)
	if err := b.sets.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
		return err
	}
	before := set.DeepCopy()
	for i := range set.Spec.Roles {
		set.Spec.Roles[i].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = nextImage
	}
	return b.sets.Patch(ctx, set, client.MergeFrom(before))
}

// rolesAvailable returns a check that that many DisaggregatedSets are available and up to date.
func (b *bed) rolesAvailable(count int) func(context.Context) error {
	return func(ctx context.Context) error {
		var list disaggregatedsetv1.DisaggregatedSetList
		if err := b.sets.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		if len(list.Items) != count {
			return fmt.Errorf("%w: %d of %d sets exist", errStatus, len(list.Items), count)
		}
		for i := range list.Items {
			set := &list.Items[i]
			if set.Status.ObservedGeneration != set.Generation ||
				!meta.IsStatusConditionTrue(set.Status.Conditions, disaggregatedsetv1.ConditionAvailable) {
				return fmt.Errorf("%w: %s: %s", errStatus, set.Name, set.Status.Summary)
			}
		}
		return nil
	}
}
