// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// deadline bounds everything that is waited for: most of it takes seconds, the loss of a node a minute.
	deadline = 5 * time.Minute

	// container is the name of the one in the pods of the tests, port the one that it serves on.
	container = "peer"
	port      = 8080
)

// newNamespace makes a namespace for the test alone, in which pods can't be more than restricted ones.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	create(t, namespace)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			dump(ctx, t, namespace.Name)
		}
		if err := suite.client.Delete(ctx, namespace); err != nil {
			t.Error(err)
		}
	})
	return namespace.Name
}

// newSet is a LeaderWorkerSet to be created, after the changes.
func newSet(namespace, name string, replicas, size int32, changes ...func(*leaderworkersetv1.LeaderWorkerSet)) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(replicas),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size:           ptr.To(size),
				WorkerTemplate: corev1.PodTemplateSpec{Spec: peerSpec()},
			},
		},
	}
	for _, change := range changes {
		change(lws)
	}
	return lws
}

// peerSpec is that of a pod that runs a peer.
func peerSpec() corev1.PodSpec {
	return corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:  container,
			Image: suite.peer,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				ReadOnlyRootFilesystem:   ptr.To(true),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			ReadinessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(port)}},
				PeriodSeconds: 1,
			},
		}},
	}
}

// podSpec is the one that a set's pods are made from.
func podSpec(lws *leaderworkersetv1.LeaderWorkerSet) *corev1.PodSpec {
	return &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
}

// draining has peers take that long to end, of a grace period that is much longer.
func draining(duration time.Duration) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		spec := podSpec(lws)
		spec.TerminationGracePeriodSeconds = ptr.To(int64(10 * duration.Seconds()))
		spec.Containers[0].Env = append(spec.Containers[0].Env, corev1.EnvVar{Name: "PEER_DRAIN", Value: duration.String()})
	}
}

// create creates objects.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := suite.client.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
}

// remove deletes an object.
func remove(t *testing.T, object client.Object, options ...client.DeleteOption) {
	t.Helper()
	if err := suite.client.Delete(t.Context(), object, options...); err != nil {
		t.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
}

// until waits until the check finds nothing wrong.
func until(ctx context.Context, check func(context.Context) error) error {
	return objects.Until(ctx, deadline, check)
}

// eventually is until, and the end of the test if that fails.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := until(t.Context(), check); err != nil {
		t.Fatal(err)
	}
}

// untilAvailable waits until the operator has seen the set's latest wish, and all of it is there.
func untilAvailable(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	eventually(t, func(ctx context.Context) error { return available(ctx, lws) })
}

// available reads the set again, and returns an error unless all of it is there.
func available(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
		return err
	}
	if lws.Status.ObservedGeneration != lws.Generation || !meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionAvailable) {
		return fmt.Errorf("LeaderWorkerSet %s isn't available: generation %d, status %+v", lws.Name, lws.Generation, lws.Status)
	}
	return nil
}

// podsOf are the pods of a set, by name.
func podsOf(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) (map[string]*corev1.Pod, error) {
	var list corev1.PodList
	err := suite.client.List(ctx, &list, client.InNamespace(lws.Namespace), client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: lws.Name})
	pods := make(map[string]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[list.Items[i].Name] = &list.Items[i]
	}
	return pods, err
}

// listed is podsOf, and the end of the test if that fails.
func listed(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) map[string]*corev1.Pod {
	t.Helper()
	pods, err := podsOf(t.Context(), lws)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// ask calls a pod's server through the API server.
func ask(ctx context.Context, pod client.Object, path string) ([]byte, error) {
	return suite.clientset.CoreV1().RESTClient().Get().Namespace(pod.GetNamespace()).Resource("pods").
		Name(fmt.Sprintf("%s:%d", pod.GetName(), port)).SubResource("proxy").Suffix(path).DoRaw(ctx)
}

// workersSeenBy are the names of the workers that have reached a leader.
func workersSeenBy(t *testing.T, leader client.Object) []string {
	t.Helper()
	data, err := ask(t.Context(), leader, "workers")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		t.Fatal(err)
	}
	return names
}

// crash has a pod's container end.
func crash(t *testing.T, pod client.Object) {
	t.Helper()
	if answer, err := ask(t.Context(), pod, "crash"); err == nil {
		t.Fatalf("%s answers %q instead of crashing", pod.GetName(), answer)
	}
}

// recreations are the events about groups of a set that were recreated.
func recreations(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) ([]string, error) {
	list, err := suite.clientset.EventsV1().Events(lws.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, event := range list.Items {
		if event.Regarding.UID == lws.UID && event.Reason == leaderworkersetv1.ReasonRecreateGroup {
			notes = append(notes, event.Note)
		}
	}
	return notes, nil
}

// dump tells what is in a namespace.
func dump(ctx context.Context, t *testing.T, namespace string) {
	t.Helper()
	var pods corev1.PodList
	if err := suite.client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		t.Log(err)
	}
	for _, pod := range pods.Items {
		t.Logf("pod %s: node %q, phase %s, deleted %v, containers %+v", pod.Name, pod.Spec.NodeName, pod.Status.Phase, pod.DeletionTimestamp,
			pod.Status.ContainerStatuses)
	}
	events, err := suite.clientset.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Log(err)
		return
	}
	slices.SortFunc(events.Items, func(a, b eventsv1.Event) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for _, event := range events.Items {
		t.Logf("event %s %s: %s %s", event.Regarding.Kind, event.Regarding.Name, event.Reason, event.Note)
	}
}
