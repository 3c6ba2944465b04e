// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/chaos/judge"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// evictAfter is how long pods stay on a node that is lost.
const evictAfter = 1

// newSet returns a set of two groups of three pods. The name decides what else it has.
func newSet(key types.NamespacedName) *leaderworkersetv1.LeaderWorkerSet {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: image(0)}},
	}}
	for _, taint := range []string{corev1.TaintNodeUnreachable, corev1.TaintNodeNotReady} {
		template.Spec.Tolerations = append(template.Spec.Tolerations, corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To(int64(evictAfter)),
		})
	}
	template.Annotations = map[string]string{
		cluster.ReadyAfterAnnotation: "500ms", cluster.TerminateAfterAnnotation: "300ms",
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(int32(2)),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size: ptr.To(int32(3)), WorkerTemplate: template,
			},
		},
	}
	vary(lws)
	return lws
}

// vary gives a set what its name stands for.
func vary(lws *leaderworkersetv1.LeaderWorkerSet) {
	const (
		keep = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		drop = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	)
	switch lws.Name {
	case "set-b":
		lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
	case "set-c":
		withClaims(lws, keep, keep)
	case "set-d":
		withClaims(lws, drop, keep)
	case "set-e", "set-h":
		withClaims(lws, drop, drop)
	case "set-f":
		lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.RecreateGroupAfterStart
	}
}

func withClaims(
	lws *leaderworkersetv1.LeaderWorkerSet, whenScaled, whenDeleted appsv1.PersistentVolumeClaimRetentionPolicyType,
) {
	template := &lws.Spec.LeaderWorkerTemplate
	template.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenScaled: whenScaled, WhenDeleted: whenDeleted,
	}
	template.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: ptr.To(storageClass),
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}}
}

// stateOf reads everything in the namespaces of the sets.
func stateOf(ctx context.Context, api client.Client) (*judge.State, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var state judge.State
	for _, in := range []client.InNamespace{namespace, doomed} {
		var sets leaderworkersetv1.LeaderWorkerSetList
		var statefulSets appsv1.StatefulSetList
		var pods corev1.PodList
		var services corev1.ServiceList
		var revisions appsv1.ControllerRevisionList
		var claims corev1.PersistentVolumeClaimList
		// Children are read before their owners: an owner that is created in between isn't missed.
		err := errors.Join(
			api.List(ctx, &claims, in), api.List(ctx, &services, in), api.List(ctx, &revisions, in),
			api.List(ctx, &pods, in), api.List(ctx, &statefulSets, in), api.List(ctx, &sets, in))
		if err != nil {
			return nil, err
		}
		state.Sets = append(state.Sets, sets.Items...)
		state.StatefulSets = append(state.StatefulSets, statefulSets.Items...)
		state.Pods = append(state.Pods, pods.Items...)
		state.Services = append(state.Services, services.Items...)
		state.Revisions = append(state.Revisions, revisions.Items...)
		state.Claims = append(state.Claims, claims.Items...)
	}
	return &state, nil
}
