// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestObserveLostWorkers checks that a pass reads past the cache only if the revision of the leader StatefulSet was
// deleted.
func TestObserveLostWorkers(t *testing.T) {
	revisionOf := func(meta metav1.ObjectMeta, key string) metav1.ObjectMeta {
		meta.Labels[leaderworkersetv1.RevisionLabelKey] = key
		return meta
	}
	lws := setOfSize(2, 2)
	lws.UID = "set"
	leader := leaderOf(1)
	leader.ObjectMeta = controlled(leader.ObjectMeta, "leader-1", "leaders")
	leaders := &appsv1.StatefulSet{ObjectMeta: revisionOf(controlled(part("llama"), "leaders", "set"), "abc")}
	workers := &appsv1.StatefulSet{
		ObjectMeta: revisionOf(controlled(part("llama-1", "group-index", "1"), "workers-1", "leader-1"), "abc"),
	}
	whole := workers.DeepCopy()
	whole.Spec.Template.Spec.NodeName = "n1"
	replaced := whole.DeepCopy()
	replaced.UID = "another"
	revision := &appsv1.ControllerRevision{ObjectMeta: revisionOf(part("llama-abc-1"), "abc")}
	for _, tc := range []struct {
		name   string
		cached []client.Object
		live   []client.Object
		want   bool
	}{
		{"the revision was deleted", []client.Object{lws, leader, leaders, workers}, []client.Object{whole}, true},
		{"the revision exists", []client.Object{lws, leader, leaders, workers, revision}, []client.Object{whole}, false},
		{"there are no workers", []client.Object{lws, leader, leaders}, []client.Object{whole}, false},
		{"the workers were replaced", []client.Object{lws, leader, leaders, workers}, []client.Object{replaced}, false},
		{"the workers were deleted", []client.Object{lws, leader, leaders, workers}, nil, false},
		{"it is another set's", []client.Object{setOfSize(2, 2), leader, leaders, workers}, []client.Object{whole}, false},
	} {
		o := &observer{Reader: cacheOf(t, tc.cached...), live: cacheOf(t, tc.live...), podGroups: newPodGroups()}
		observed, err := o.set(t.Context(), llama, false)
		if err != nil {
			t.Fatal(err)
		}
		got := observed.LostWorkers
		if (got != nil) != tc.want || (got != nil && got.Spec.Template.Spec.NodeName != "n1") {
			t.Errorf("%s: got %v", tc.name, got)
		}
	}
}
