// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bed

import (
	"context"
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
	// Deadline limits each wait. Most waits take seconds. The loss of a node takes a minute.
	Deadline = 5 * time.Minute

	// Port is the port that peers serve on.
	Port = 8080
	// container is the name of the peers' container.
	container = "peer"
)

// NewNamespace makes a namespace for one test, under restricted pod security. The end of the test deletes it.
func (b *Bed) NewNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	b.Create(t, namespace)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			b.Dump(ctx, t, namespace.Name)
		}
		if err := b.Client.Delete(ctx, namespace); err != nil {
			t.Error(err)
		}
	})
	return namespace.Name
}

// NewSet returns a LeaderWorkerSet with the changes, which isn't created yet.
func (b *Bed) NewSet(
	namespace, name string, replicas, size int32, changes ...func(*leaderworkersetv1.LeaderWorkerSet),
) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(replicas),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size:           ptr.To(size),
				WorkerTemplate: corev1.PodTemplateSpec{Spec: b.peerSpec()},
			},
		},
	}
	for _, change := range changes {
		change(lws)
	}
	return lws
}

// peerSpec returns the spec of a pod that runs a peer.
func (b *Bed) peerSpec() corev1.PodSpec {
	return corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:  container,
			Image: b.Peer,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				ReadOnlyRootFilesystem:   ptr.To(true),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			ReadinessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(Port)}},
				PeriodSeconds: 1,
			},
		}},
	}
}

// PodSpec returns the template's spec of a set's pods.
func PodSpec(lws *leaderworkersetv1.LeaderWorkerSet) *corev1.PodSpec {
	return &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
}

// Draining returns a change after which peers take that long to end. Their grace period is ten times longer.
func Draining(duration time.Duration) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		spec := PodSpec(lws)
		spec.TerminationGracePeriodSeconds = ptr.To(int64(10 * duration.Seconds()))
		spec.Containers[0].Env = append(spec.Containers[0].Env, corev1.EnvVar{Name: "PEER_DRAIN", Value: duration.String()})
	}
}

// Create creates objects.
func (b *Bed) Create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := b.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
}

// Remove deletes an object.
func (b *Bed) Remove(t *testing.T, object client.Object, options ...client.DeleteOption) {
	t.Helper()
	if err := b.Client.Delete(t.Context(), object, options...); err != nil {
		t.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
}

// Until repeats the check until it returns no error.
func Until(ctx context.Context, check func(context.Context) error) error {
	return objects.Until(ctx, Deadline, check)
}

// Eventually is Until, and ends the test if that fails.
func Eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := Until(t.Context(), check); err != nil {
		t.Fatal(err)
	}
}

// UntilAvailable waits until the operator has observed the set's latest generation, and the set is available.
func (b *Bed) UntilAvailable(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	Eventually(t, func(ctx context.Context) error { return b.Available(ctx, lws) })
}

// Available reads the set, and returns an error unless the operator has observed its latest generation and it is
// available.
func (b *Bed) Available(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	if err := b.Client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
		return err
	}
	if lws.Status.ObservedGeneration != lws.Generation ||
		!meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionAvailable) {
		return fmt.Errorf("LeaderWorkerSet %s isn't available: generation %d, status %+v",
			lws.Name, lws.Generation, lws.Status)
	}
	return nil
}

// PodsOf returns the pods of a set, by name.
func (b *Bed) PodsOf(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) (map[string]*corev1.Pod, error) {
	var list corev1.PodList
	err := b.Client.List(ctx, &list, client.InNamespace(lws.Namespace),
		client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: lws.Name})
	pods := make(map[string]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[list.Items[i].Name] = &list.Items[i]
	}
	return pods, err
}

// Pods is PodsOf, and ends the test if that fails.
func (b *Bed) Pods(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) map[string]*corev1.Pod {
	t.Helper()
	pods, err := b.PodsOf(t.Context(), lws)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// Dump logs the pods and events of a namespace.
func (b *Bed) Dump(ctx context.Context, t *testing.T, namespace string) {
	t.Helper()
	var pods corev1.PodList
	if err := b.Client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		t.Log(err)
	}
	for _, pod := range pods.Items {
		t.Logf("pod %s: node %q, phase %s, deleted %v, containers %+v", pod.Name, pod.Spec.NodeName,
			pod.Status.Phase, pod.DeletionTimestamp, pod.Status.ContainerStatuses)
	}
	events, err := b.Clientset.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Log(err)
		return
	}
	slices.SortFunc(events.Items, func(a, b eventsv1.Event) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	for _, event := range events.Items {
		t.Logf("event %s %s: %s %s", event.Regarding.Kind, event.Regarding.Name, event.Reason, event.Note)
	}
}
