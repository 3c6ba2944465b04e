// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestTemplates checks what is rejected of the templates of new sets, and of sets that have some of it already.
func TestTemplates(t *testing.T) {
	const template = "spec.leaderWorkerTemplate."
	type set = leaderworkersetv1.LeaderWorkerSet
	type change = func(leader, worker *corev1.PodTemplateSpec, claim *corev1.PersistentVolumeClaim)
	of := func(changes ...change) *set {
		lws := &set{}
		of := &lws.Spec.LeaderWorkerTemplate
		of.LeaderTemplate, of.VolumeClaimTemplates = &corev1.PodTemplateSpec{}, make([]corev1.PersistentVolumeClaim, 1)
		for _, pods := range []*corev1.PodTemplateSpec{of.LeaderTemplate, &of.WorkerTemplate} {
			pods.Spec.Containers = []corev1.Container{{Image: "a"}, {Image: ""}}
			pods.Spec.InitContainers = []corev1.Container{{Image: "a"}}
		}
		for _, change := range changes {
			change(of.LeaderTemplate, &of.WorkerTemplate, &of.VolumeClaimTemplates[0])
		}
		return lws
	}
	finalizers := func(ofLeader, ofWorker, ofClaim []string) change {
		return func(leader, worker *corev1.PodTemplateSpec, claim *corev1.PersistentVolumeClaim) {
			leader.Finalizers, worker.Finalizers, claim.Finalizers = ofLeader, ofWorker, ofClaim
		}
	}
	images := func(leader, worker *corev1.PodTemplateSpec, _ *corev1.PersistentVolumeClaim) {
		leader.Spec.InitContainers[0].Image = " a"
		worker.Spec.Containers[0].Image = "a\u00a0"
	}
	metadata := func(_, _ *corev1.PodTemplateSpec, claim *corev1.PersistentVolumeClaim) {
		claim.Labels, claim.Annotations = map[string]string{"a": "100%"}, map[string]string{"a b": ""}
	}
	good, bad := []string{"example.com/a", "kubernetes", "orphan"}, []string{"example.com/a", "mine"}
	for _, tc := range []struct {
		name        string
		before, set *set
		want        []string
	}{
		{"nothing", nil, of(), nil},
		{"good finalizers", nil, of(finalizers(good, good, good)), nil},
		{"bad finalizers", nil, of(finalizers(bad, bad, bad)), []string{
			template + "leaderTemplate.metadata.finalizers[1]", template + "workerTemplate.metadata.finalizers[1]",
			template + "volumeClaimTemplates[0].metadata.finalizers[1]",
		}},
		{
			"finalizers that are no names", nil,
			of(finalizers([]string{"a/b c"}, []string{"orphan", "foregroundDeletion"}, nil)),
			[]string{template + "leaderTemplate.metadata.finalizers", template + "workerTemplate.metadata.finalizers"},
		},
		{"bad images", nil, of(images), []string{
			template + "leaderTemplate.spec.initContainers[0].image", template + "workerTemplate.spec.containers[0].image",
		}},
		{"bad metadata of claims", nil, of(metadata), []string{
			template + "volumeClaimTemplates[0].metadata.labels", template + "volumeClaimTemplates[0].metadata.annotations",
		}},
		{"all from before", of(finalizers(bad, bad, bad), images, metadata),
			of(finalizers(bad, bad, bad), images, metadata), nil},
		{"more bad finalizers", of(finalizers(bad, nil, bad), images), of(finalizers(bad, bad, bad), images),
			[]string{template + "workerTemplate.metadata.finalizers[1]"}},
		{"better than before", of(finalizers(bad, bad, bad), images), of(finalizers(good, nil, good)), nil},
	} {
		err := checkTemplates(tc.before, tc.set)
		var got []string
		if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
			for _, cause := range status.ErrStatus.Details.Causes {
				got = append(got, cause.Field)
			}
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: invalid fields (-want +got):\n%s", tc.name, diff)
		}
	}
}
