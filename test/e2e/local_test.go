// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/measure"
)

// The tests of this file observe or stop the operator's process. They run one after the other, before the parallel
// tests.

// TestLocalIdle keeps several sets without changes while other objects of the cluster change. The operator writes
// nothing and makes no pass. After a restart, the operator makes a pass for each set and writes nothing.
func TestLocalIdle(t *testing.T) {
	namespace := newNamespace(t)
	sets := idleSets(namespace)
	for _, lws := range sets {
		create(t, lws)
	}
	for _, lws := range sets {
		untilAvailable(t, lws)
	}
	untilOperatorIdle(t)

	t.Run("others are busy", func(t *testing.T) {
		mark, passes, mebibytes := now(t), reconciles(t), memory(t)
		began := time.Now()
		createUnrelated(t, 1000)
		editUnrelatedFields(t, namespace)
		t.Logf("1,000 pods and 1,000 StatefulSets without a set were created in %.1f s", time.Since(began).Seconds())
		consistently(t, 15*time.Second, func() error { return noWrites(mark) })
		check(t, "passes", passes, reconciles(t))
		t.Logf("Memory of the operator: %.0f MiB before, %.0f MiB after", mebibytes, memory(t))
	})
	t.Run("the operator is restarted", func(t *testing.T) {
		mark := now(t)
		if err := suite.operator.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := suite.operator.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(context.Context) error {
			passes := reconciles(t)
			return unless(passes >= float64(len(sets)), "%v passes", passes)
		})
		consistently(t, 5*time.Second, func() error { return noWrites(mark) })
		untilOperatorIdle(t)
		if err := noWrites(mark); err != nil {
			t.Error(err)
		}
	})
	t.Run("requests are selective", checkSelective)
}

// idleSets returns sets of different kinds.
func idleSets(namespace string) []*leaderworkersetv1.LeaderWorkerSet {
	return []*leaderworkersetv1.LeaderWorkerSet{
		newSet(namespace, "plain", 3, 3),
		newSet(namespace, "single", 2, 1),
		newSet(namespace, "none", 0, 3),
		newSet(namespace, "network", 2, 2, uniquePerReplica),
		newSet(namespace, "ready", 2, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Labels = map[string]string{"team": "blue"}
			lws.Annotations = map[string]string{"example.com/note": "passed on"}
			lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
			lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy =
				&appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
					WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
				}
		}),
	}
}

// createUnrelated creates pods that a scheduling gate holds, and StatefulSets without pods.
func createUnrelated(t *testing.T, count int) {
	t.Helper()
	namespace := newNamespace(t)
	workqueue.ParallelizeUntil(t.Context(), 16, count, func(i int) {
		template := podTemplate()
		template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/never"}}
		pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
		pod.Namespace, pod.Name = namespace, fmt.Sprintf("unrelated-%d", i)
		sts := foreignStatefulSet(pod.Name, nil)
		sts.Namespace = namespace
		if err := suite.client.Create(t.Context(), pod); err != nil {
			t.Error(err)
		}
		if err := suite.client.Create(t.Context(), sts); err != nil {
			t.Error(err)
		}
	})
}

// editUnrelatedFields changes fields that the operator doesn't read, of objects that it watches.
func editUnrelatedFields(t *testing.T, namespace string) {
	t.Helper()
	for _, pod := range listed(t, podsIn(namespace)) {
		edit(t, pod, func(pod *corev1.Pod) {
			pod.Labels["example.com/irrelevant"] = "yes"
			pod.Annotations["example.com/note"] = "none of the operator's business"
		})
	}
}

// checkSelective checks that the operator's lists and watches of common kinds select the objects of sets, of one
// group, or of one set of roles. A replica that doesn't lead lists the pods of the group of a new leader.
func checkSelective(t *testing.T) {
	reads, err := operatorRequests(0, func(r measure.Request) bool { return r.Verb == "list" || r.Verb == "watch" })
	if err != nil {
		t.Fatal(err)
	}
	selective := map[string]bool{}
	for _, read := range reads {
		switch resource := read.ObjectRef.Resource; resource {
		case "pods", "statefulsets", "services", "controllerrevisions":
			selector := read.Query("labelSelector")
			ofGroup := strings.HasPrefix(selector, leaderworkersetv1.GroupUniqueHashLabelKey+"=")
			ofRoles := strings.HasPrefix(selector, disaggregatedsetv1.SetNameLabelKey+"=")
			if !ofGroup && !ofRoles && !slices.Contains(strings.Split(selector, ","), leaderworkersetv1.SetNameLabelKey) {
				t.Errorf("not selective: %v", read)
			}
			selective[resource] = true
		case "events":
			if !strings.Contains(read.Query("fieldSelector"), "reason="+leaderworkersetv1.ReasonFailedCreate) {
				t.Errorf("not selective: %v", read)
			}
			selective[resource] = true
		case "nodes":
			t.Errorf("nodes were read, though no set needs a placement: %v", read)
		}
	}
	check(t, "kinds that were read", map[string]bool{
		"pods": true, "statefulsets": true, "services": true, "controllerrevisions": true, "events": true,
	}, selective)
}

// TestLocalKill kills the operator during the creation of a set. After its start, the operator completes the set and
// creates nothing twice.
func TestLocalKill(t *testing.T) {
	const replicas, size = 20, 3
	namespace := newNamespace(t)
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
	lws := newSet(namespace, "many", replicas, size, uniquePerReplica)
	create(t, lws)
	statefulSets.until(t, func(state map[string]*appsv1.StatefulSet) error {
		return unless(len(state) > 3, "%d StatefulSets", len(state))
	})
	if err := suite.operator.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	created := len(listed(t, statefulSetsIn(namespace)))
	t.Logf("The operator was killed after %d of %d StatefulSets", created, replicas+1)
	if created == replicas+1 {
		t.Error("the operator was killed too late")
	}

	if err := suite.operator.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	untilAvailable(t, lws)
	pods.until(t, func(state map[string]*corev1.Pod) error {
		return unless(len(state) == replicas*size, "%d pods", len(state))
	})
	untilNamed(t, servicesIn(namespace), podNames("many", replicas, 1)...)
	check(t, "incarnations of the pods", each(podNames("many", replicas, size), 1), pods.incarnations(t))
	check(t, "incarnations of the StatefulSets", each(statefulSetNames("many", replicas), 1), statefulSets.incarnations(t))
}
