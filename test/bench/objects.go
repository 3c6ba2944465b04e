// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

const (
	// namespace and setName are the namespace and the name of the LeaderWorkerSet.
	namespace = "bench"
	setName   = "bench"

	// strangersNamespace has the pods that belong to no LeaderWorkerSet.
	strangersNamespace = "strangers"

	// image is the first image of the pods. nextImage is their image after the update. Simulated nodes pull no images.
	image     = "registry.k8s.io/pause:3.10"
	nextImage = "registry.k8s.io/pause:3.9"
)

// newSet returns the LeaderWorkerSet. readyAfter is how long its pods take to become ready. If empty, they are ready at
// once.
func newSet(replicas, size int, maxUnavailable, readyAfter string) *leaderworkersetv1.LeaderWorkerSet {
	template := corev1.PodTemplateSpec{Spec: podSpec(nil)}
	if readyAfter != "" {
		template.Annotations = map[string]string{cluster.ReadyAfterAnnotation: readyAfter}
	}
	return &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: setName},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(int32(replicas)), //nolint:gosec // A number of groups or pods.
			RolloutStrategy: leaderworkersetv1.RolloutStrategy{
				Type: leaderworkersetv1.RollingUpdateStrategyType,
				RollingUpdateConfiguration: &leaderworkersetv1.RollingUpdateConfiguration{
					MaxUnavailable: ptr.To(atLeastOne(maxUnavailable, replicas)),
				},
			},
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size:           ptr.To(int32(size)), //nolint:gosec // A number of pods.
				WorkerTemplate: template,
			},
		},
	}
}

// atLeastOne returns a percentage, or 1 if the percentage of so few groups is rounded down to 0. Some controllers
// refuse such a percentage.
func atLeastOne(percentage string, replicas int) intstr.IntOrString {
	parsed := intstr.FromString(percentage)
	if count, err := intstr.GetScaledValueFromIntOrPercent(&parsed, replicas, false); err == nil && count == 0 {
		return intstr.FromInt32(1)
	}
	return parsed
}

// newSets returns sets of one group each.
func newSets(count, size int) []*leaderworkersetv1.LeaderWorkerSet {
	sets := make([]*leaderworkersetv1.LeaderWorkerSet, count)
	for i := range sets {
		sets[i] = newSet(1, size, updateUnavailable, "")
		sets[i].Name = fmt.Sprintf("%s-%d", setName, i)
	}
	return sets
}

// floorPairs returns StatefulSets that make the same pods as newSets: one for the leader of each set, and one for its
// workers.
func floorPairs(count, size int) []*appsv1.StatefulSet {
	var sets []*appsv1.StatefulSet
	for i := range count {
		name := fmt.Sprintf("%s-%d", setName, i)
		number := strconv.Itoa(i)
		leader := floorSet(name, 1, map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: number}, size, name+"-0")
		labels := map[string]string{leaderworkersetv1.GroupIndexLabelKey: number}
		workers := floorSet(name+"-0", size-1, labels, size, name+"-0")
		workers.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1}
		sets = append(sets, leader, workers)
	}
	return sets
}

func podSpec(environment []corev1.EnvVar) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: image, Env: environment}}}
}

// floorSets returns StatefulSets that make the same pods without a controller of LeaderWorkerSets. One StatefulSet has
// all leaders, and another one for each group has its workers. The argument readyAfter is how long the pods take to
// become ready. If empty, they are ready at once.
func floorSets(replicas, size int, readyAfter string) []*appsv1.StatefulSet {
	labels := map[string]string{leaderworkersetv1.WorkerIndexLabelKey: "0"}
	sets := []*appsv1.StatefulSet{floorSet(setName, replicas, labels, size, setName)}
	for group := range replicas {
		leader := fmt.Sprintf("%s-%d", setName, group)
		labels := map[string]string{leaderworkersetv1.GroupIndexLabelKey: strconv.Itoa(group)}
		workers := floorSet(leader, size-1, labels, size, leader)
		workers.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1}
		sets = append(sets, workers)
	}
	if readyAfter != "" {
		for _, set := range sets {
			set.Spec.Template.Annotations[cluster.ReadyAfterAnnotation] = readyAfter
		}
	}
	return sets
}

func floorSet(name string, replicas int, labels map[string]string, size int, leader string) *appsv1.StatefulSet {
	labels[leaderworkersetv1.SetNameLabelKey] = setName
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: appsv1.StatefulSetSpec{
			Replicas:            ptr.To(int32(replicas)), //nolint:gosec // A number of groups or pods.
			ServiceName:         setName,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels:      labels,
					Annotations: map[string]string{leaderworkersetv1.SizeAnnotationKey: strconv.Itoa(size)},
				},
				Spec: podSpec([]corev1.EnvVar{
					{Name: leaderworkersetv1.LeaderAddressEnvVar, Value: leader + "." + setName + "." + namespace},
					{Name: leaderworkersetv1.GroupSizeEnvVar, Value: strconv.Itoa(size)},
				}),
			},
		},
	}
}

// stranger returns a pod that belongs to no LeaderWorkerSet. It already has a node, so it doesn't need the scheduler.
func stranger(i, nodes int) *corev1.Pod {
	spec := podSpec(nil)
	spec.NodeName = fmt.Sprintf("node-%d", i%nodes)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: strangersNamespace, Name: fmt.Sprintf("stranger-%d", i), Labels: map[string]string{"app": "stranger"},
		},
		Spec: spec,
	}
}
