// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// lostNode is the node that is lost and comes back.
	lostNode = "node-0"
	// held is a finalizer. It keeps the pods of a lost node, whose kubelet can't say that they have stopped.
	held = "chaos.lws-operator.dev/held"
)

// loseNode loses a node until its pods are evicted. Then the node comes back.
func loseNode(ctx context.Context, p *plane) error {
	if err := p.holdPods(ctx, true); err != nil {
		return err
	}
	err := p.setNodeReady(ctx, corev1.ConditionUnknown)
	pause(ctx, evictAfter*time.Second+faultTime)
	return errors.Join(err, p.setNodeReady(ctx, corev1.ConditionTrue), p.reviveNode(ctx))
}

// reviveNode does what a kubelet does that finds its pods again: those that were deleted are gone, and the others are
// ready. Pods lose their readiness with their node.
func (p *plane) reviveNode(ctx context.Context) error {
	if err := p.holdPods(ctx, false); err != nil {
		return err
	}
	pods, err := p.podsOnNode(ctx)
	for i := range pods {
		pod := &pods[i]
		at := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
		if at < 0 || pod.Status.Phase != corev1.PodRunning || pod.Status.Conditions[at].Reason == "WaitingForReadyAfter" {
			continue
		}
		patch := client.StrategicMergeFrom(pod.DeepCopy())
		pod.Status.Conditions[at].Status = corev1.ConditionTrue
		err = errors.Join(err, client.IgnoreNotFound(p.api.Status().Patch(ctx, pod, patch)))
	}
	return err
}

// holdPods adds the finalizer to the pods on the lost node, or removes it. Pods that are being deleted take none. It
// repeats what the API server refuses, since other parties change the pods meanwhile.
func (p *plane) holdPods(ctx context.Context, hold bool) error {
	return objects.Until(ctx, healTimeout, func(ctx context.Context) error {
		pods, err := p.podsOnNode(ctx)
		for i := range pods {
			pod := &pods[i]
			patch, change := client.MergeFrom(pod.DeepCopy()), controllerutil.RemoveFinalizer
			if hold {
				change = controllerutil.AddFinalizer
			}
			if (!hold || pod.DeletionTimestamp == nil) && change(pod, held) {
				err = errors.Join(err, client.IgnoreNotFound(p.api.Patch(ctx, pod, patch)))
			}
		}
		return err
	})
}

func (p *plane) podsOnNode(ctx context.Context) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := p.api.List(ctx, &pods, client.MatchingFields{"spec.nodeName": lostNode})
	return pods.Items, err
}

// setNodeReady sets the condition Ready of the lost node. The controller manager does the rest. kwok leaves it alone.
func (p *plane) setNodeReady(ctx context.Context, status corev1.ConditionStatus) error {
	return objects.Until(ctx, faultTime, func(ctx context.Context) error {
		node := &corev1.Node{}
		if err := p.api.Get(ctx, client.ObjectKey{Name: lostNode}, node); err != nil {
			return err
		}
		patch := client.StrategicMergeFrom(node.DeepCopy())
		for i := range node.Status.Conditions {
			if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
				c.Status, c.LastHeartbeatTime, c.LastTransitionTime = status, metav1.Now(), metav1.Now()
			}
		}
		return p.api.Status().Patch(ctx, node, patch)
	})
}
