// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
)

// Controller is a reconciler, and the sources that start its passes.
type Controller struct {
	Name       string
	Reconciler reconcile.Reconciler
	Sources    []source.Source
	Limiter    workqueue.TypedRateLimiter[reconcile.Request]
}

// NewControllers returns the controllers that [Setup] adds to a manager, for those who run them without one: simulated
// worlds whose LeaderWorkerSets are the children of another kind. Their groups aren't gangs. It adds the indexes that
// passes read by.
func NewControllers(
	ctx context.Context, applier *apply.Applier, cached cache.Cache, options Options,
) ([]Controller, error) {
	if err := AddIndexes(ctx, cached); err != nil {
		return nil, err
	}
	set, group := newControllers(applier, cached, newPodGroups(), options)
	return []Controller{
		{Name: "set", Reconciler: set.reconciler, Sources: set.sources, Limiter: set.limiter},
		{Name: "group", Reconciler: group.reconciler, Sources: group.sources, Limiter: group.limiter},
	}, nil
}
