// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
)

// ownedBySet names the cache's indexes of LeaderWorkerSets and scalers by the UID of the DisaggregatedSet that controls
// them.
const ownedBySet = "ownedByDisaggregatedSet"

// indexByOwner returns the UID of the DisaggregatedSet that controls an object.
func indexByOwner(object client.Object) []string {
	if owner := ownerOf(object); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

// ownerOf returns the DisaggregatedSet that controls an object; nil if none does.
func ownerOf(object client.Object) *metav1.OwnerReference {
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.Kind != setKind.Kind || owner.APIVersion != setKind.GroupVersion().String() {
		return nil
	}
	return owner
}

// observer is the only reader of a pass.
type observer struct {
	client.Reader

	// live reads past the cache: the Services of other controllers, once for each set.
	live client.Reader
}

// get reads a set, with its defaults; nil if it was deleted.
func (o *observer) get(ctx context.Context, key types.NamespacedName) (*disaggregatedsetv1.DisaggregatedSet, error) {
	set := &disaggregatedsetv1.DisaggregatedSet{}
	if err := o.Get(ctx, key, set); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	set.Default()
	return set, nil
}

// set observes what a pass over a set looks at. services says whether to look for those of other controllers.
func (o *observer) set(
	ctx context.Context, dset *disaggregatedsetv1.DisaggregatedSet, services bool,
) (*snapshot.Set, error) {
	set := &snapshot.Set{DSet: dset, Scalers: map[string]*disaggregatedsetv1.DisaggregatedSetRoleScaler{}}
	owned := []client.ListOption{
		client.InNamespace(dset.Namespace), client.MatchingFields{ownedBySet: string(dset.UID)},
	}
	var children leaderworkersetv1.LeaderWorkerSetList
	if err := o.List(ctx, &children, owned...); err != nil {
		return nil, fmt.Errorf("LeaderWorkerSets: %w", err)
	}
	all := make([]*leaderworkersetv1.LeaderWorkerSet, len(children.Items))
	for i := range children.Items {
		all[i] = &children.Items[i]
	}
	set.Children = snapshot.Owned(dset, all)
	var scalers disaggregatedsetv1.DisaggregatedSetRoleScalerList
	if err := o.List(ctx, &scalers, owned...); err != nil {
		return nil, fmt.Errorf("scalers: %w", err)
	}
	for i := range scalers.Items {
		scaler := &scalers.Items[i]
		set.Scalers[scaler.Labels[disaggregatedsetv1.RoleLabelKey]] = scaler
	}
	if !services {
		return set, nil
	}
	var err error
	set.Services, err = o.leftOverServices(ctx, dset)
	return set, err
}

// leftOverServices reads the Services that another controller created for the set. The cache doesn't have them.
func (o *observer) leftOverServices(
	ctx context.Context, set *disaggregatedsetv1.DisaggregatedSet,
) ([]*corev1.Service, error) {
	var labeled corev1.ServiceList
	err := o.live.List(ctx, &labeled, client.InNamespace(set.Namespace),
		client.MatchingLabels{disaggregatedsetv1.SetNameLabelKey: set.Name})
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	var left []*corev1.Service
	for i := range labeled.Items {
		service := &labeled.Items[i]
		if metav1.IsControlledBy(service, set) && identity.IsLeftOverService(set.Name, service.Name) {
			left = append(left, service)
		}
	}
	return left, nil
}
