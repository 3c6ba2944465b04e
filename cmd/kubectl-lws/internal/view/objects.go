// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package view derives from the objects of a LeaderWorkerSet what people ask about it: the state of each group, why a
// group isn't ready, and how far a rolling update is. It is pure. The reasons come from the operator's own packages, so
// they never differ from those in the status.
package view

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Objects are the objects of one LeaderWorkerSet, as the API server shows them to the user.
type Objects struct {
	LWS *leaderworkersetv1.LeaderWorkerSet

	// StatefulSets, Pods, Services and Revisions carry the set's label. Revisions includes those of its StatefulSets.
	StatefulSets []*appsv1.StatefulSet
	Pods         []*corev1.Pod
	Services     []*corev1.Service
	Revisions    []*appsv1.ControllerRevision

	// Budgets are the PodDisruptionBudgets of the namespace.
	Budgets []*policyv1.PodDisruptionBudget

	// Events are the events of the namespace about the set's objects.
	Events []*corev1.Event

	// Hidden are the resources that the user may not read.
	Hidden []string
}

// Reads reports whether the user may read a resource.
func (o *Objects) Reads(resource string) bool { return !slices.Contains(o.Hidden, resource) }

// leaders returns the leader StatefulSet; nil if there is none that the set owns.
func (o *Objects) leaders() *appsv1.StatefulSet {
	for _, sts := range o.StatefulSets {
		if sts.Name == o.LWS.Name && metav1.IsControlledBy(sts, o.LWS) {
			return sts
		}
	}
	return nil
}

// statefulSetRevisions returns the revisions that StatefulSets keep of themselves, and those of the set.
func (o *Objects) revisions() (ofSet, ofStatefulSets []*appsv1.ControllerRevision) {
	for _, revision := range o.Revisions {
		owner := metav1.GetControllerOf(revision)
		if owner != nil && owner.Kind == "StatefulSet" {
			ofStatefulSets = append(ofStatefulSets, revision)
		}
	}
	return snapshot.OwnedRevisions(o.LWS, o.Revisions), ofStatefulSets
}

// about returns the events about an object, the latest first.
func (o *Objects) about(object metav1.Object) []*corev1.Event {
	var events []*corev1.Event
	for _, event := range o.Events {
		if event.InvolvedObject.UID == object.GetUID() {
			events = append(events, event)
		}
	}
	slices.SortStableFunc(events, func(a, b *corev1.Event) int { return EventTime(b).Compare(EventTime(a)) })
	return events
}

// observed returns a pod as the operator's cache shows it: without conditions and statuses that report no fault.
func observed(pod *corev1.Pod) *corev1.Pod {
	ready := snapshot.ConditionOf(pod, corev1.PodReady)
	trimmed := *pod
	trimmed.Status.Conditions = snapshot.FaultConditions(pod)
	if ready != nil {
		trimmed.Status.Conditions = append(trimmed.Status.Conditions, *ready)
	}
	isReady := snapshot.PodReady(pod)
	trimmed.Status.InitContainerStatuses = snapshot.FaultStatuses(pod.Status.InitContainerStatuses, isReady)
	trimmed.Status.ContainerStatuses = snapshot.FaultStatuses(pod.Status.ContainerStatuses, isReady)
	return &trimmed
}
