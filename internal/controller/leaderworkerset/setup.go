// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"errors"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/internal/features"
)

// Setup adds the reconcilers and webhooks of LeaderWorkerSets, and the indexes that they read by, to a manager.
// [CacheByObject] has to limit the cache of the manager.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	if err := AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	// Webhooks read LeaderWorkerSets in all replicas of the operator. Only the reconcilers of the elected leader would
	// start this cache.
	sets := &leaderworkersetv1.LeaderWorkerSet{}
	if _, err := mgr.GetCache().GetInformer(ctx, sets, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	known := newPodGroups()
	group, err := addControllers(mgr, known, options)
	if err != nil {
		return err
	}
	if options.Scheduling.Provider == scheduling.Kubernetes {
		if err := addFeatures(ctx, mgr, group, known, options.Scheduling); err != nil {
			return err
		}
	}
	return admission.Setup(mgr, known.features, options.Admission)
}

// addFeatures looks for the APIs of the provider and the rights, now and while the manager runs. Once they are found,
// passes over groups read PodGroups, and PodGroups start passes.
func addFeatures(
	ctx context.Context, mgr ctrl.Manager, group ctrlcontroller.Controller, known *podGroups, options SchedulingOptions,
) error {
	found, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	asker, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme()})
	if err != nil {
		return err
	}
	denied := features.DeniedBy(asker, options.Namespaces)
	apis := features.New(options.Provider, found, denied, clock.RealClock{}, func(version string) error {
		cached, err := newPodGroupCache(mgr, options.Namespaces)
		if err != nil {
			return err
		}
		events, err := known.begin(ctx, cached, version)
		if err != nil {
			return err
		}
		return errors.Join(mgr.Add(ofLeader{cached}), group.Watch(events))
	})
	known.features = apis.Scheduling
	if err := apis.Find(ctx); err != nil {
		return err
	}
	return mgr.Add(apis)
}

func addControllers(
	mgr ctrl.Manager, known *podGroups, options Options,
) (groupController ctrlcontroller.Controller, err error) {
	applier := &apply.Applier{
		Client:    mgr.GetClient(),
		Live:      mgr.GetAPIReader(),
		Recorder:  mgr.GetEventRecorder("leaderworkerset-controller"),
		Deletions: options.ConcurrentDeletions,
		OnRefusal: options.Meter.Refused,
	}
	set, group := newControllers(applier, mgr.GetCache(), known, options)
	if _, err := set.addTo(mgr, "leaderworkerset"); err != nil {
		return nil, err
	}
	return group.addTo(mgr, "group")
}

// controller is a reconciler, and the sources that start its passes.
type controller struct {
	reconciler reconcile.Reconciler
	sources    []source.Source
	limiter    workqueue.TypedRateLimiter[reconcile.Request]
	concurrent int
}

// newControllers returns the controllers of sets and of groups. They read and write by the client of the applier. A
// source of the set controller takes the sets that passes over groups enqueue.
func newControllers(
	applier *apply.Applier, cached cache.Cache, known *podGroups, options Options,
) (set, group *controller) {
	memories, sets := newMemories(), newSetQueue(options.Batch)
	observer := &observer{Reader: applier.Client, live: applier.Live, podGroups: known}
	set = &controller{
		reconciler: &setReconciler{observer: observer, applier: applier, memories: memories, options: options},
		sources:    append(setSources(cached, memories, options.Batch), sets),
		limiter:    newLimiter(options),
		concurrent: options.ConcurrentSets,
	}
	group = &controller{
		reconciler: &groupReconciler{
			observer: observer, applier: applier, memories: memories, sets: sets, options: options,
		},
		sources:    groupSources(cached, options.Batch),
		limiter:    newLimiter(options),
		concurrent: options.ConcurrentGroups,
	}
	return set, group
}

func newLimiter(options Options) workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
		options.MinRetryDelay, options.MaxRetryDelay)
}

func (c *controller) addTo(mgr ctrl.Manager, name string) (ctrlcontroller.Controller, error) {
	added, err := ctrlcontroller.New(name, mgr, ctrlcontroller.Options{
		Reconciler:              c.reconciler,
		MaxConcurrentReconciles: c.concurrent,
		RateLimiter:             c.limiter,
	})
	if err != nil {
		return nil, err
	}
	for _, events := range c.sources {
		if err := added.Watch(events); err != nil {
			return nil, err
		}
	}
	return added, nil
}
