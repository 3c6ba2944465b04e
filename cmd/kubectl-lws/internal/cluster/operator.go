// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// Operator is what the operator's process consists of.
type Operator struct {
	Pods   []corev1.Pod
	Config []corev1.ConfigMap
}

// Operator reads the operator's pods, and the ConfigMaps that they mount.
func (c *Cluster) Operator(ctx context.Context) (*Operator, error) {
	var found corev1.PodList
	if err := c.List(ctx, &found, operatorLabels); err != nil {
		return nil, err
	}
	operator := &Operator{Pods: found.Items}
	known := map[types.NamespacedName]bool{}
	for i := range found.Items {
		for j := range found.Items[i].Spec.Volumes {
			source := found.Items[i].Spec.Volumes[j].ConfigMap
			if source == nil {
				continue
			}
			name := types.NamespacedName{Namespace: found.Items[i].Namespace, Name: source.Name}
			if known[name] {
				continue
			}
			known[name] = true
			var config corev1.ConfigMap
			err := c.Get(ctx, name, &config)
			switch {
			case err == nil:
				operator.Config = append(operator.Config, config)
			case !apierrors.IsNotFound(err):
				return nil, err
			}
		}
	}
	return operator, nil
}
