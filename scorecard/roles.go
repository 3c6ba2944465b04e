// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// rolesTrial is a test's own DisaggregatedSet.
type rolesTrial struct {
	client.Client
	set *disaggregatedsetv1.DisaggregatedSet
}

// rollsRoles creates a DisaggregatedSet, changes the template of one role, and checks that the pods of all roles are of
// another revision then. After that it deletes the set and checks that no object of the set is left.
func rollsRoles(ctx context.Context, tested *subject) (err error) {
	cluster, err := tested.connect()
	if err != nil {
		return err
	}
	t := &rolesTrial{Client: cluster, set: newRoles(tested.namespace)}
	if err := t.Create(ctx, t.set); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.remove(ctx)) }()
	if err := eventually(ctx, t.ready); err != nil {
		return err
	}
	first, from := t.set.Status.UpdateRevision, t.set.DeepCopy()
	template := &t.set.Spec.Roles[0].Spec.LeaderWorkerTemplate.WorkerTemplate
	metav1.SetMetaDataAnnotation(&template.ObjectMeta, "example.com/changed", "true")
	if err := t.Patch(ctx, t.set, client.MergeFrom(from)); err != nil {
		return err
	}
	if err := eventually(ctx, t.ready); err != nil {
		return err
	}
	if t.set.Status.UpdateRevision == first {
		return fmt.Errorf("the revision is still %s", first)
	}
	return nil
}

// newRoles returns a set of two roles whose pods only pause.
func newRoles(namespace string) *disaggregatedsetv1.DisaggregatedSet {
	set := &disaggregatedsetv1.DisaggregatedSet{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "scorecard-", Namespace: namespace},
	}
	for _, role := range []string{"prefill", "decode"} {
		spec := newSet(namespace).Spec
		spec.Replicas = ptr.To[int32](1)
		set.Spec.Roles = append(set.Spec.Roles, disaggregatedsetv1.DisaggregatedRoleSpec{Name: role, Spec: spec})
	}
	return set
}

// ready reads the set, and returns an error until all roles are available and all pods are of the current revision.
func (t *rolesTrial) ready(ctx context.Context) error {
	if err := t.Get(ctx, client.ObjectKeyFromObject(t.set), t.set); err != nil {
		return err
	}
	status := t.set.Status
	if status.ObservedGeneration != t.set.Generation ||
		!meta.IsStatusConditionTrue(status.Conditions, disaggregatedsetv1.ConditionAvailable) {
		return fmt.Errorf("not all roles are available: %v", status.Conditions)
	}
	var pods corev1.PodList
	if err := t.List(ctx, &pods, t.selector()...); err != nil {
		return err
	}
	roles := len(t.set.Spec.Roles)
	if len(pods.Items) != roles*groupSize {
		return fmt.Errorf("%d pods; want %d", len(pods.Items), roles*groupSize)
	}
	for i := range pods.Items {
		if revision := pods.Items[i].Labels[disaggregatedsetv1.RevisionLabelKey]; revision != status.UpdateRevision {
			return fmt.Errorf("pod %s is of revision %s; want %s", pods.Items[i].Name, revision, status.UpdateRevision)
		}
	}
	return nil
}

// selector returns the options that list the objects of the set.
func (t *rolesTrial) selector() []client.ListOption {
	return []client.ListOption{
		client.InNamespace(t.set.Namespace),
		client.MatchingLabels{disaggregatedsetv1.SetNameLabelKey: t.set.Name},
	}
}

// remove deletes the set and waits until none of its objects is left, even after the timeout of the test.
func (t *rolesTrial) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := client.IgnoreNotFound(t.Delete(ctx, t.set, client.Preconditions{UID: ptr.To(t.set.UID)})); err != nil {
		return err
	}
	return eventually(ctx, t.removed)
}

// removed returns an error until no object of the set exists.
func (t *rolesTrial) removed(ctx context.Context) error {
	err := t.Get(ctx, client.ObjectKeyFromObject(t.set), &disaggregatedsetv1.DisaggregatedSet{})
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("DisaggregatedSet %s still exists: %w", t.set.Name, err)
	}
	for _, list := range []client.ObjectList{&leaderworkersetv1.LeaderWorkerSetList{}, &corev1.PodList{}} {
		if err := t.List(ctx, list, t.selector()...); err != nil {
			return err
		}
		if left := meta.LenList(list); left > 0 {
			return fmt.Errorf("%T: %d are left", list, left)
		}
	}
	return nil
}
