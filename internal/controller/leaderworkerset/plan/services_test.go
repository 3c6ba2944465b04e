// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

const setNameLabel = leaderworkersetv1.SetNameLabelKey

// usersService is a headless Service with the name of the set.
func usersService(selector map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default", UID: "users"},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: selector, Ports: []corev1.ServicePort{{Name: "http", Port: 8000}},
		},
	}
}

// TestServiceOfSomebodyElse checks that a Service that serves is used as it is, and that one that doesn't is reported
// and delays neither the first pods nor an update.
func TestServiceOfSomebodyElse(t *testing.T) {
	const inTheWay = `Service "llama" exists and does not belong to this LeaderWorkerSet`
	labeled := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Labels = map[string]string{"app": "chat", "role": "worker"}
		leader := lws.Spec.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
		leader.Labels["role"] = "leader"
		lws.Spec.LeaderWorkerTemplate.LeaderTemplate = leader
	}
	serving := map[string]string{setNameLabel: "llama"}
	for _, tc := range []struct {
		name     string
		selector map[string]string
		change   func(*corev1.Service)
		report   string
	}{
		{"it selects the set's pods", serving, func(*corev1.Service) {}, ""},
		{"it selects by a label of all pods", map[string]string{"app": "chat"}, func(*corev1.Service) {}, ""},
		{"it publishes only ready pods", serving, func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = false }, ""},
		{"it has the label of the set", serving, func(s *corev1.Service) { s.Labels = serving }, ""},
		{
			"another object controls it", serving,
			func(s *corev1.Service) { s.OwnerReferences = controlledBy("Other", "llama") }, "",
		},
		{"it selects leaders alone", map[string]string{"role": "leader"}, func(*corev1.Service) {}, inTheWay},
		{"it selects other pods", map[string]string{"app": "other"}, func(*corev1.Service) {}, inTheWay},
		{"it selects nothing", nil, func(*corev1.Service) {}, inTheWay},
		{"it isn't headless", serving, func(s *corev1.Service) { s.Spec.ClusterIP = "10.0.0.1" }, inTheWay},
		{"it is an alias", serving, func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ExternalName = "", "x" }, inTheWay},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lws := newSet()
			labeled(lws)
			service := usersService(tc.selector)
			tc.change(service)
			before := service.DeepCopy()
			observed := &world{Set: snapshot.Set{LWS: lws, Service: service}}
			planned := forSet(t, observed)
			if got := described(planned.Writes); len(got) != 2 || got[1] != "create *v1.StatefulSet llama" {
				t.Errorf("the first writes are %v, want a revision and the StatefulSet", got)
			}
			wantFailure(t, planned.Status, tc.report)
			carryOut(observed, planned)
			settle(observed)
			carryOut(observed, forSet(t, observed))
			wantWrites(t, "at rest", forSet(t, observed).Writes)

			setImage(lws, "serve:2")
			lws.Spec.LeaderWorkerTemplate.LeaderTemplate = nil
			planned = forSet(t, observed)
			if got := described(planned.Writes); !slices.Contains(got, "patch *v1.StatefulSet llama") {
				t.Errorf("the update begins with %v, want the StatefulSet to be changed", got)
			}
			if diff := cmp.Diff(before, observed.Service); diff != "" {
				t.Errorf("the Service (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServiceThatIsRefused checks that the writes after the Service don't depend on it.
func TestServiceThatIsRefused(t *testing.T) {
	observed := &world{Set: snapshot.Set{LWS: newSet()}}
	for _, planned := range forSet(t, observed).Writes {
		_, isService := planned.Create.(*corev1.Service)
		if planned.Optional != isService {
			t.Errorf("%v is optional: %t", described([]write.Write{planned}), planned.Optional)
		}
	}
}

// TestUsersServiceIsNotDeleted checks that a set whose groups get Services of their own leaves the user's alone.
func TestUsersServiceIsNotDeleted(t *testing.T) {
	observed := settled(t, newSet())
	observed.Service = usersService(map[string]string{setNameLabel: "llama"})
	unique := leaderworkersetv1.SubdomainUniquePerReplica
	observed.LWS.Spec.NetworkConfig.SubdomainPolicy = &unique
	for range 8 {
		planned := forSet(t, observed)
		if slices.Contains(described(planned.Writes), "delete *v1.Service llama") {
			t.Fatal("the user's Service is deleted")
		}
		carryOut(observed, planned)
		settle(observed)
	}
}

// TestUsersServiceIsNotAdopted checks that only a Service as the operator makes it counts as one of an earlier set.
func TestUsersServiceIsNotAdopted(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"with a port":      func(s *corev1.Service) { s.Spec.Ports = []corev1.ServicePort{{Port: 8000}} },
		"with more labels": func(s *corev1.Service) { s.Labels["team"] = "inference" },
		"without labels":   func(s *corev1.Service) { s.Labels = nil },
		"a stranger's":     func(s *corev1.Service) { s.OwnerReferences = controlledBy("Other", "llama") },
	} {
		t.Run(name, func(t *testing.T) {
			observed := orphans(t, newSet())
			change(observed.Service)
			before := observed.Service
			carryOut(observed, forSet(t, observed))
			planned := forSet(t, observed)
			if observed.Service != before {
				t.Error("it was changed")
			}
			wantFailure(t, planned.Status, "")
		})
	}
}

// wantFailure checks the message of the condition ReplicaFailure; empty for no such condition.
func wantFailure(t *testing.T, status leaderworkersetv1.LeaderWorkerSetStatus, want string) {
	t.Helper()
	got := ""
	condition := meta.FindStatusCondition(status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if condition != nil {
		got = condition.Message
	}
	if got != want {
		t.Errorf("ReplicaFailure says %q, want %q", got, want)
	}
}
