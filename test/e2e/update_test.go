// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestChangesWithoutRestart changes fields that don't affect pods. The changes create no revision and restart no pod.
func TestChangesWithoutRestart(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"metadata": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Labels = map[string]string{"team": "blue"}
			lws.Annotations = map[string]string{"example.com/note": "changed"}
		},
		"startupPolicy": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
		},
		"restartPolicy": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		},
		"maxGroupRestarts": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To(int32(3))
		},
		"revisionHistoryLimit": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RevisionHistoryLimit = ptr.To(int32(0))
		},
		"rolloutStrategy": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable = ptr.To(intstr.FromInt32(2))
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To(int32(1))
		},
		"retention of claims": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			drop := appsv1.DeletePersistentVolumeClaimRetentionPolicyType
			lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = retention(drop, drop)
		},
		"defaults written out": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			pod := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
			pod.TerminationGracePeriodSeconds = ptr.To[int64](corev1.DefaultTerminationGracePeriodSeconds)
			pod.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
		},
		"leaderTemplate that is the workerTemplate": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.LeaderTemplate = lws.Spec.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "calm", 2, 3)
			create(t, lws)
			untilAvailable(t, lws)
			before, revisions := uidsOf(listed(t, podsIn(namespace))), revisionsOf(t, lws)
			pods, versions := record[*corev1.Pod](t, namespace, &corev1.PodList{}), recordSets(t, namespace)

			// The operator handles the second change after all effects of the first.
			edit(t, lws, change)
			untilAvailable(t, lws)
			edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(3)) })
			untilAvailable(t, lws)
			versions.until(t, recordedAvailable(lws))
			now := uidsOf(listed(t, podsIn(namespace)))
			for pod, uid := range before {
				check(t, "UID of "+pod, uid, now[pod])
			}
			check(t, "incarnations of the pods", each(podNames("calm", 3, 3), 1), pods.incarnations(t))
			check(t, "transitions of UpdateInProgress", 0, transitionsOf(t, versions).UpdateInProgress)
			check(t, "revisions", revisions, revisionsOf(t, lws))
			var leaders appsv1.StatefulSet
			if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(lws), &leaders); err != nil {
				t.Fatal(err)
			}
			check(t, "retention of claims", wantedRetention(lws), leaders.Spec.PersistentVolumeClaimRetentionPolicy)
		})
	}
}

// wantedRetention returns the expected retention policy of the leader StatefulSet.
func wantedRetention(lws *leaderworkersetv1.LeaderWorkerSet) *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	if policy := lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy; policy != nil {
		return policy
	}
	keep := appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	return retention(keep, keep)
}

// TestMetadataPropagation checks that the StatefulSets have the labels and annotations of the set, after its creation
// and after updates. They don't have kubectl's copy of the manifest.
func TestMetadataPropagation(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "tagged", 2, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Labels = map[string]string{"team": "blue"}
		lws.Annotations = map[string]string{"example.com/note": "first", corev1.LastAppliedConfigAnnotation: "{}"}
	})
	create(t, lws)
	untilAvailable(t, lws)
	untilPropagated(t, namespace, "blue", "first")

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		maps.Copy(lws.Labels, map[string]string{"team": "green"})
		maps.Copy(lws.Annotations, map[string]string{"example.com/note": "second"})
	})
	untilPropagated(t, namespace, "green", "second")
}

func untilPropagated(t *testing.T, namespace, team, note string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		statefulSets, err := statefulSetsIn(namespace)(ctx)
		if err != nil {
			return err
		}
		for _, sts := range statefulSets {
			_, copied := sts.Annotations[corev1.LastAppliedConfigAnnotation]
			if sts.Labels["team"] != team || sts.Annotations["example.com/note"] != note || copied {
				return fmt.Errorf("StatefulSet %s: labels %v, annotations %v", sts.Name, sts.Labels, sts.Annotations)
			}
		}
		return unless(len(statefulSets) == 3, "%d StatefulSets", len(statefulSets))
	})
}
