// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// podGroups has the metadata of the PodGroups of groups. It has a cache of its own, which begins once the API server is
// found to serve PodGroups: an operator without a provider has neither that cache nor its watch.
type podGroups struct {
	// features returns what schedules pods together now. It is never nil.
	features func() scheduling.Features

	// cached is the cache; nil before it begins.
	cached atomic.Pointer[podGroupCache]
}

// newPodGroups returns no PodGroups, and no features.
func newPodGroups() *podGroups { return &podGroups{features: scheduling.NoFeatures} }

// podGroupCache is a cache of PodGroups at one version.
type podGroupCache struct {
	client.Reader

	kind schema.GroupVersionKind
}

// podGroupsOfGroup is the cache's index of PodGroups by the leader pod of their group.
const podGroupsOfGroup = "podGroupsOfGroup"

// begin makes passes read PodGroups from a cache, and returns the source that starts passes over their groups.
func (p *podGroups) begin(ctx context.Context, from cache.Cache, version string) (source.Source, error) {
	podGroup := &metav1.PartialObjectMetadata{}
	podGroup.SetGroupVersionKind(scheduling.Kind(version))
	if err := from.IndexField(ctx, podGroup, podGroupsOfGroup, indexByGroup); err != nil {
		return nil, fmt.Errorf("index %s: %w", podGroupsOfGroup, err)
	}
	p.cached.Store(&podGroupCache{Reader: from, kind: scheduling.Kind(version)})
	return watch(from, podGroup, toGroup, immediately, podGroupChanged()), nil
}

// ofGroup returns the PodGroups of a group. key names its leader pod.
func (p *podGroups) ofGroup(ctx context.Context, key types.NamespacedName) ([]*metav1.PartialObjectMetadata, error) {
	cached := p.cached.Load()
	if cached == nil {
		return nil, nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(cached.kind.GroupVersion().WithKind(cached.kind.Kind + "List"))
	err := cached.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFields{podGroupsOfGroup: key.Name})
	if err != nil {
		return nil, fmt.Errorf("PodGroups: %w", err)
	}
	return pointers(list.Items), nil
}

// podGroupChanged drops the updates of PodGroups, but for those that begin a deletion or change the owner. The
// scheduler writes their status, which passes don't read.
func podGroupChanged() predicate.TypedPredicate[*metav1.PartialObjectMetadata] {
	return predicate.TypedFuncs[*metav1.PartialObjectMetadata]{
		UpdateFunc: func(e event.TypedUpdateEvent[*metav1.PartialObjectMetadata]) bool {
			return (e.ObjectOld.DeletionTimestamp == nil) != (e.ObjectNew.DeletionTimestamp == nil) ||
				e.ObjectOld.UID != e.ObjectNew.UID ||
				!equality.Semantic.DeepEqual(e.ObjectOld.OwnerReferences, e.ObjectNew.OwnerReferences)
		},
	}
}

// newPodGroupCache returns a cache of the metadata of PodGroups that are labeled as part of a LeaderWorkerSet, in the
// namespaces; in all if there are none.
func newPodGroupCache(mgr ctrl.Manager, namespaces []string) (cache.Cache, error) {
	part := labels.NewSelector().Add(requirement(leaderworkersetv1.SetNameLabelKey, selection.Exists))
	options := cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultLabelSelector: part, DefaultTransform: cache.TransformStripManagedFields(),
	}
	for _, namespace := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = map[string]cache.Config{}
		}
		options.DefaultNamespaces[namespace] = cache.Config{}
	}
	return cache.New(mgr.GetConfig(), options)
}

// ofLeader is a cache that only the elected replica fills.
type ofLeader struct{ cache.Cache }

// NeedLeaderElection implements [sigs.k8s.io/controller-runtime/pkg/manager.LeaderElectionRunnable].
func (ofLeader) NeedLeaderElection() bool { return true }
