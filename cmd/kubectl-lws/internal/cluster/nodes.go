// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// SetsOn returns the sets that have pods on nodes: of all namespaces, or of one if the user may list no others.
func (c *Cluster) SetsOn(
	ctx context.Context, namespace string, nodes []string,
) (sets []types.NamespacedName, everywhere bool, err error) {
	var found corev1.PodList
	ofSets := client.HasLabels{leaderworkersetv1.SetNameLabelKey}
	err = c.List(ctx, &found, ofSets)
	everywhere = err == nil
	if apierrors.IsForbidden(err) {
		err = c.List(ctx, &found, ofSets, client.InNamespace(namespace))
	}
	if err != nil {
		return nil, false, err
	}
	for i := range found.Items {
		pod := &found.Items[i]
		if slices.Contains(nodes, pod.Spec.NodeName) {
			name := pod.Labels[leaderworkersetv1.SetNameLabelKey]
			sets = append(sets, types.NamespacedName{Namespace: pod.Namespace, Name: name})
		}
	}
	slices.SortFunc(sets, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(sets), everywhere, nil
}
