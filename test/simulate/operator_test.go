// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

type set = leaderworkersetv1.LeaderWorkerSet

// fatalRecorder records the failure of a world, and doesn't end the test.
type fatalRecorder struct {
	testing.TB

	message string
}

func (f *fatalRecorder) Helper() {}

func (f *fatalRecorder) Logf(string, ...any) {}

func (f *fatalRecorder) Fatalf(format string, args ...any) { f.message = fmt.Sprintf(format, args...) }

// TestPassMustNotChangeTheCache runs passes that change the objects they read, or copies.
func TestPassMustNotChangeTheCache(t *testing.T) {
	const want = "operator, set a changed LeaderWorkerSet a in the cache"
	for _, tc := range []struct {
		name   string
		read   func(*testing.T, client.Reader) *set
		change func(*set)
		want   string
	}{
		{"nothing", getSet, func(*set) {}, ""},
		{"a label", getSet, func(lws *set) { lws.Labels["team"] = "other" }, want},
		{"a label of a list's item", listSet, func(lws *set) { lws.Labels["team"] = "other" }, want},
		{"a value behind a pointer", getSet, func(lws *set) { *lws.Spec.Replicas = 7 }, want},
		{"a field of the shallow copy", getSet, func(lws *set) { lws.Spec.Replicas = nil }, ""},
		{"a label of a deep copy", getSet, func(lws *set) { lws.DeepCopy().Labels["team"] = "other" }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failed, passes := &fatalRecorder{TB: t}, 0
			world := New(failed, operatorOf(t, func(reader client.Reader) {
				tc.change(tc.read(t, reader))
				passes++
			}))
			lws := &set{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", Labels: map[string]string{"team": "one"}}}
			world.User("creates LeaderWorkerSet a", func() error { return world.API.Create(lws) })
			for passes == 0 {
				world.Step()
			}
			if tc.want == "" && failed.message != "" || !strings.HasPrefix(failed.message, tc.want) {
				t.Errorf("the world fails with %q, want %q", failed.message, tc.want)
			}
		})
	}
}

func getSet(t *testing.T, reader client.Reader) *set {
	t.Helper()
	lws := &set{}
	if err := reader.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "a"}, lws); err != nil {
		t.Fatal(err)
	}
	return lws
}

func listSet(t *testing.T, reader client.Reader) *set {
	t.Helper()
	list := &leaderworkersetv1.LeaderWorkerSetList{}
	if err := reader.List(t.Context(), list, client.InNamespace("default"), client.MatchingFields{}); err != nil {
		t.Fatal(err)
	}
	return &list.Items[0]
}

// operatorOf returns an operator that makes one kind of pass over LeaderWorkerSets.
func operatorOf(t *testing.T, pass func(client.Reader)) Operator {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	start := func(in Environment) ([]Controller, error) {
		enqueue := &handler.TypedEnqueueRequestForObject[*set]{}
		return []Controller{{
			Name: "set",
			Reconciler: reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
				pass(in.Client)
				return reconcile.Result{}, nil
			}),
			Sources: []source.Source{source.Kind(in.Cache, &set{}, enqueue)},
			Limiter: workqueue.DefaultTypedControllerRateLimiter[reconcile.Request](),
		}}, nil
	}
	cached := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	return Operator{Scheme: scheme, Cache: cached, Start: start}
}
