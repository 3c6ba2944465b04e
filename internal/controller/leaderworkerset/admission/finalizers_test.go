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

// TestFinalizersOfTemplates checks which finalizers of templates are rejected, of new sets and of those that have some
// already.
func TestFinalizersOfTemplates(t *testing.T) {
	const template = "spec.leaderWorkerTemplate."
	of := func(leader, worker, claim []string) *leaderworkersetv1.LeaderWorkerSet {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		lws.Spec.LeaderWorkerTemplate.LeaderTemplate = &corev1.PodTemplateSpec{}
		lws.Spec.LeaderWorkerTemplate.LeaderTemplate.Finalizers = leader
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Finalizers = worker
		lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = make([]corev1.PersistentVolumeClaim, 1)
		lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates[0].Finalizers = claim
		return lws
	}
	good, bad := []string{"example.com/a", "kubernetes", "orphan"}, []string{"example.com/a", "mine"}
	for _, tc := range []struct {
		name        string
		before, set *leaderworkersetv1.LeaderWorkerSet
		want        []string
	}{
		{"none", nil, of(nil, nil, nil), nil},
		{"good ones", nil, of(good, good, good), nil},
		{"bad ones", nil, of(bad, bad, bad), []string{
			template + "leaderTemplate.metadata.finalizers[1]",
			template + "volumeClaimTemplates[0].metadata.finalizers[1]",
			template + "workerTemplate.metadata.finalizers[1]",
		}},
		{"no names", nil, of([]string{"a/b c"}, []string{"orphan", "foregroundDeletion"}, nil), []string{
			template + "leaderTemplate.metadata.finalizers", template + "workerTemplate.metadata.finalizers",
		}},
		{"bad ones from before", of(bad, bad, bad), of(bad, bad, bad), nil},
		{"more bad ones", of(bad, nil, bad), of(bad, bad, bad), []string{template + "workerTemplate.metadata.finalizers[1]"}},
		{"good ones instead", of(bad, bad, bad), of(good, nil, good), nil},
	} {
		err := checkFinalizers(tc.before, tc.set)
		var got []string
		var status *apierrors.StatusError
		if errors.As(err, &status) {
			for _, cause := range status.ErrStatus.Details.Causes {
				got = append(got, cause.Field)
			}
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: invalid fields (-want +got):\n%s", tc.name, diff)
		}
	}
}
