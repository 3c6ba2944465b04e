// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// cacheOf returns a cache with the operator's indexes that holds the objects.
func cacheOf(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	for _, object := range objects {
		if _, err := withDefaults(object); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(schemeOfTests(t)).WithObjects(objects...)
	if err := AddIndexes(t.Context(), indexesOf{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build()
}

// indexesOf adds indexes to a fake client.
type indexesOf struct{ *fake.ClientBuilder }

func (i indexesOf) IndexField(_ context.Context, object client.Object, field string, value client.IndexerFunc) error {
	i.WithIndex(object, field, value)
	return nil
}

func controlled(meta metav1.ObjectMeta, uid, ownerUID string) metav1.ObjectMeta {
	meta.UID = types.UID(uid)
	meta.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Owner", Name: "owner", UID: types.UID(ownerUID), Controller: ptr.To(true),
	}}
	return meta
}

// newCache returns a cache with the set "llama" and its groups 0 and 1 of 2 pods. It also has objects of other sets,
// and objects that only have the name of the set.
func newCache(t *testing.T) client.WithWatch {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: part("llama")}
	lws.UID = "set"
	elsewhere := part("llama")
	elsewhere.Namespace = "other"
	other := part("other-0", "group-index", "0", "worker-index", "0")
	other.Labels[leaderworkersetv1.SetNameLabelKey] = "other"
	leader := leaderOf(1)
	leader.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: "rack"}
	leader.Spec.NodeName = "n1"
	leader.ObjectMeta = controlled(leader.ObjectMeta, "leader-1", "leaders")
	first := leaderOf(0)
	first.ObjectMeta = controlled(first.ObjectMeta, "leader-0", "leaders")
	return cacheOf(t, lws, leader, first, workerOf(1, 1), workerOf(0, 1),
		&appsv1.StatefulSet{
			ObjectMeta: controlled(part("llama"), "leaders", "set"),
			Status:     appsv1.StatefulSetStatus{CurrentRevision: statefulSetRevision().Name},
		},
		statefulSetRevision(),
		&appsv1.StatefulSet{ObjectMeta: controlled(part("llama-1", "group-index", "1"), "workers-1", "leader-1")},
		&appsv1.StatefulSet{ObjectMeta: controlled(part("llama-0", "group-index", "0"), "workers-0", "an earlier leader")},
		&appsv1.StatefulSet{ObjectMeta: elsewhere},
		&appsv1.ControllerRevision{ObjectMeta: part("llama-abc-1")},
		&corev1.Service{ObjectMeta: part("llama")}, &corev1.Service{ObjectMeta: part("llama-1", "group-index", "1")},
		&corev1.Pod{ObjectMeta: other},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"rack": "r1"}}},
	)
}

var llama = types.NamespacedName{Namespace: "default", Name: "llama"}

func TestCachedSetsHaveTheirDefaults(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
	cached, err := withDefaults(lws)
	if err != nil || cached != any(lws) || lws.ManagedFields != nil || ptr.Deref(lws.Spec.Replicas, 0) != 1 {
		t.Errorf("got %v, %v, want the set with its defaults, and without managed fields", cached, err)
	}
}

func TestObserveSet(t *testing.T) {
	observed, err := (&observer{Reader: newCache(t), podGroups: newPodGroups()}).set(t.Context(), llama, false)
	if err != nil {
		t.Fatal(err)
	}
	if observed.Leaders == nil || observed.Leaders.UID != "leaders" || observed.Service == nil ||
		len(observed.Revisions) != 1 {
		t.Errorf("got leaders %v, Service %v and %d revisions, want those of the set",
			observed.Leaders, observed.Service, len(observed.Revisions))
	}
	if observed.BelowPartitionKey != "abc" {
		t.Errorf("the key of the current revision is %q, want abc", observed.BelowPartitionKey)
	}
	if len(observed.Groups) != 2 || observed.Groups[0].Workers != nil || observed.Groups[1].Workers == nil {
		t.Errorf("got %+v, want groups 0 and 1, and workers of group 1 only", observed.Groups)
	}
}

func TestObserveDeletedSet(t *testing.T) {
	observed, err := (&observer{Reader: cacheOf(t), podGroups: newPodGroups()}).set(t.Context(), llama, false)
	if observed != nil || err != nil {
		t.Errorf("got %+v and error %v, want neither", observed, err)
	}
}

func TestObserveGroup(t *testing.T) {
	o := &observer{Reader: newCache(t), podGroups: newPodGroups()}
	m, err := o.group(t.Context(), types.NamespacedName{Namespace: "default", Name: "llama-1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if m.Index != 1 || m.LWS == nil || m.LWS.Spec.Replicas == nil || m.Leader == nil || m.Leaders == nil ||
		m.Workers == nil || m.Service == nil {
		t.Errorf("got %+v, want all objects", m)
	}
	if len(m.WorkerPods) != 1 || m.WorkerPods[0].Name != "llama-1-1" {
		t.Errorf("got %d worker pods, want llama-1-1", len(m.WorkerPods))
	}
	if m.Node == nil || m.Node.Labels["rack"] != "r1" {
		t.Errorf("got node %v, want n1 and its labels", m.Node)
	}

	m, err = o.group(t.Context(), types.NamespacedName{Namespace: "default", Name: "llama-0"}, false)
	if err != nil || m.Node != nil || m.Service != nil {
		t.Errorf("group 0: got node %v, Service %v and error %v, want none without exclusive placement", m.Node, m.Service,
			err)
	}
}

func TestObserveGroupWithoutObjects(t *testing.T) {
	o := &observer{Reader: cacheOf(t), podGroups: newPodGroups()}
	m, err := o.group(t.Context(), types.NamespacedName{Namespace: "default", Name: "llama-7"}, false)
	if err != nil {
		t.Fatal(err)
	}
	want := &snapshot.GroupMembers{
		Index: 7, WorkerPods: []*corev1.Pod{}, Claims: []*corev1.PersistentVolumeClaim{},
		Revisions: []*appsv1.ControllerRevision{},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if _, err := o.group(t.Context(), llama, false); err == nil {
		t.Error("the name of no group gives no error")
	}
}

// TestObserveFailsWithAnyRead fails one read after the other, each of which fails the observation.
func TestObserveFailsWithAnyRead(t *testing.T) {
	away := errors.New("away")
	reads := 0
	failing := 0
	reader := interceptor.NewClient(newCache(t), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption,
		) error {
			reads++
			if reads == failing {
				return away
			}
			return c.Get(ctx, key, object, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			reads++
			if reads == failing {
				return away
			}
			return c.List(ctx, list, options...)
		},
	})
	o := &observer{Reader: reader, podGroups: newPodGroups()}
	for what, tc := range map[string]struct {
		reads   int
		observe func() error
	}{
		"set": {8, func() error {
			_, err := o.set(t.Context(), llama, false)
			return err
		}},
		"group": {10, func() error {
			_, err := o.group(t.Context(), types.NamespacedName{Namespace: "default", Name: "llama-1"}, false)
			return err
		}},
	} {
		for failing = 1; failing <= tc.reads; failing++ {
			reads = 0
			if err := tc.observe(); !errors.Is(err, away) {
				t.Errorf("%s, read %d of %d fails: got %v, want its error", what, failing, tc.reads, err)
			}
		}
		reads, failing = 0, 0
		if err := tc.observe(); err != nil || reads != tc.reads {
			t.Errorf("%s: %d reads and error %v, want %d and none", what, reads, err, tc.reads)
		}
	}
}
