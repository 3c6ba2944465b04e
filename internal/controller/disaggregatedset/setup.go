// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/admission"
	"github.com/leaderworkerset/lws-operator/internal/served"
)

// Setup adds the webhooks and the reconciler of DisaggregatedSets to a manager, after those of LeaderWorkerSets. The
// reconciler starts once the API server serves DisaggregatedSets: a cluster may have the operator without their
// CustomResourceDefinitions.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	index := mgr.GetFieldIndexer()
	if err := index.IndexField(ctx, &leaderworkersetv1.LeaderWorkerSet{}, ownedBySet, indexByOwner); err != nil {
		return err
	}
	if err := admission.Setup(mgr, options.Admission); err != nil {
		return err
	}
	return mgr.Add(&starter{mgr: mgr, options: options})
}

// starter starts the reconciler once the API server serves DisaggregatedSets. Like all reconcilers, it runs in the
// elected replica only: so says the manager's default.
type starter struct {
	mgr     ctrl.Manager
	options Options
}

// Start waits, and then reconciles until the context ends.
func (s *starter) Start(ctx context.Context) error {
	for _, resource := range []string{"disaggregatedsets", "disaggregatedsetrolescalers"} {
		kind := disaggregatedsetv1.GroupVersion.WithResource(resource)
		if err := served.Until(ctx, s.mgr.GetConfig(), kind, s.options.ServedInterval); err != nil || ctx.Err() != nil {
			return err
		}
	}
	scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{}
	if err := s.mgr.GetFieldIndexer().IndexField(ctx, scaler, ownedBySet, indexByOwner); err != nil {
		return err
	}
	for _, kind := range []client.Object{&disaggregatedsetv1.DisaggregatedSet{}, scaler} {
		if _, err := s.mgr.GetCache().GetInformer(ctx, kind); err != nil {
			return err
		}
	}
	s.options.Meter.Cached()
	controller, err := s.newController()
	if err != nil {
		return err
	}
	return controller.Start(ctx)
}

func (s *starter) newController() (ctrlcontroller.Controller, error) {
	applier := &apply.Applier{
		Client:    s.mgr.GetClient(),
		Live:      s.mgr.GetAPIReader(),
		Recorder:  s.mgr.GetEventRecorder("disaggregatedset-controller"),
		OnRefusal: s.options.Meter.Refused,
	}
	controller, err := ctrlcontroller.NewUnmanaged("disaggregatedset", ctrlcontroller.Options{
		Reconciler:              newReconciler(applier, s.options),
		MaxConcurrentReconciles: s.options.Concurrent,
		RateLimiter:             newLimiter(s.options),
		CacheSyncTimeout:        cacheSyncTimeout,
		Logger:                  s.mgr.GetLogger(),
	})
	if err != nil {
		return nil, err
	}
	for _, events := range sources(s.mgr.GetCache(), s.options.BatchDelay) {
		if err := controller.Watch(events); err != nil {
			return nil, err
		}
	}
	return controller, nil
}

// newReconciler returns a reconciler that reads and writes by the client of the applier.
func newReconciler(applier *apply.Applier, options Options) *setReconciler {
	return &setReconciler{
		observer: &observer{Reader: applier.Client, live: applier.Live},
		applier:  applier, memories: newMemories(), options: options,
	}
}

func newLimiter(options Options) workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
		options.MinRetryDelay, options.MaxRetryDelay)
}

// cacheSyncTimeout bounds the wait for the caches: controller-runtime's default.
const cacheSyncTimeout = 2 * time.Minute

// sources returns the watches that start passes. A change of a child waits for further ones.
func sources(cached cache.Cache, delay time.Duration) []source.Source {
	return []source.Source{
		// A change that a user makes does not wait.
		source.Kind[client.Object](cached, &disaggregatedsetv1.DisaggregatedSet{}, enqueue(toItself, 0)),

		// Children become ready, and somebody may change or delete them. Autoscalers write scalers.
		source.Kind[client.Object](cached, &leaderworkersetv1.LeaderWorkerSet{}, enqueue(toOwner, delay)),
		source.Kind[client.Object](cached, &disaggregatedsetv1.DisaggregatedSetRoleScaler{}, enqueue(toOwner, delay)),
	}
}

func toItself(object client.Object) []types.NamespacedName {
	return []types.NamespacedName{client.ObjectKeyFromObject(object)}
}

func toOwner(object client.Object) []types.NamespacedName {
	if owner := ownerOf(object); owner != nil {
		return []types.NamespacedName{{Namespace: object.GetNamespace(), Name: owner.Name}}
	}
	return nil
}

// enqueue returns a handler that enqueues sets after a delay. It drops updates that change nothing, such as resyncs.
func enqueue(
	to func(client.Object) []types.NamespacedName, delay time.Duration,
) handler.TypedFuncs[client.Object, reconcile.Request] {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	add := func(q queue, object client.Object) {
		for _, key := range to(object) {
			q.AddAfter(reconcile.Request{NamespacedName: key}, delay)
		}
	}
	return handler.TypedFuncs[client.Object, reconcile.Request]{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(q, e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if equality.Semantic.DeepEqual(e.ObjectOld, e.ObjectNew) {
				return
			}
			add(q, e.ObjectOld)
			add(q, e.ObjectNew)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { add(q, e.Object) },
	}
}
