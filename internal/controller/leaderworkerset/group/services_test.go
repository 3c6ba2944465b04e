// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// TestServiceOfSomebodyElse checks that a Service with the name of the group's own is used if it serves, and reported
// otherwise. The workers are created in both cases.
func TestServiceOfSomebodyElse(t *testing.T) {
	const inTheWay = `Service "llama-1" exists and does not belong to this LeaderWorkerSet`
	const name, index, key = leaderworkersetv1.SetNameLabelKey, leaderworkersetv1.GroupIndexLabelKey,
		leaderworkersetv1.GroupUniqueHashLabelKey
	notHeadless := headless(map[string]string{name: "llama"})
	notHeadless.ClusterIP = "10.0.0.1"
	for _, tc := range []struct {
		name     string
		service  corev1.ServiceSpec
		obstacle string
	}{
		{"it selects the group", headless(map[string]string{name: "llama", index: "1"}), ""},
		{"it selects the group by its key", headless(map[string]string{key: identity.GroupKey("default", "llama-1")}), ""},
		{"it selects the set", headless(map[string]string{name: "llama"}), ""},
		{"it selects another group", headless(map[string]string{name: "llama", index: "2"}), inTheWay},
		{"it selects other pods", headless(map[string]string{"app": "other"}), inTheWay},
		{"it selects nothing", headless(nil), inTheWay},
		{"it isn't headless", notHeadless, inTheWay},
	} {
		m := newMembers(t, ownService)
		m.Service = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "llama-1", UID: "users"}, Spec: tc.service}
		got := group.Next(m)
		if got.Action != group.CreateWorkers || len(got.Writes) != 1 || got.Obstacle != tc.obstacle {
			t.Errorf("%s: got %s with %d writes and the obstacle %q, want the workers to be created and %q",
				tc.name, got.Action, len(got.Writes), got.Obstacle, tc.obstacle)
		}
	}
}

// TestWorkersDoNotNeedTheService checks that workers are created also if the API server refuses the Service.
func TestWorkersDoNotNeedTheService(t *testing.T) {
	writes := group.Next(newMembers(t, ownService)).Writes
	if len(writes) != 2 || !writes[0].Optional || writes[1].Optional {
		t.Fatalf("got %+v, want the Service, which is optional, and the workers", writes)
	}
	if writes[0].Reason != "the group's Service is missing" || writes[1].Reason != "the workers are missing" {
		t.Errorf("the reasons are %q and %q", writes[0].Reason, writes[1].Reason)
	}
}

// TestCopiesAreNoWorkers checks that pods that only have the labels of workers neither delay the next ones nor are
// deleted.
func TestCopiesAreNoWorkers(t *testing.T) {
	for _, name := range []string{"debug", "llama-1-debug", "llama-2-1", "llama-1-01"} {
		m := newMembers(t, unchanged)
		copied := orphanedWorker(m)
		copied.Name = name
		m.WorkerPods = []*corev1.Pod{copied}
		if got := group.Next(m); got.Action != group.CreateWorkers {
			t.Errorf("with pod %s: %s, %s", name, got.Action, got.Reason)
		}
		gate(m)
		if got := group.Next(m); got.Action != group.UngateLeader {
			t.Errorf("with pod %s and a gate: %s, %s", name, got.Action, got.Reason)
		}
	}
}

func headless(selector map[string]string) corev1.ServiceSpec {
	return corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Selector: selector, Ports: []corev1.ServicePort{{Name: "http", Port: 8000}},
	}
}
