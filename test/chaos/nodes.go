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
	return p.changePods(ctx, func(pod *corev1.Pod) error {
		at := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
		if at < 0 || pod.Status.Phase != corev1.PodRunning || pod.Status.Conditions[at].Reason == "WaitingForReadyAfter" ||
			pod.Status.Conditions[at].Status == corev1.ConditionTrue {
			return nil
		}
		patch := lockedFrom(pod)
		pod.Status.Conditions[at].Status = corev1.ConditionTrue
		return p.api.Status().Patch(ctx, pod, patch)
	})
}

// holdPods adds the finalizer to the pods on the lost node, or removes it. Pods that are being deleted take none.
func (p *plane) holdPods(ctx context.Context, hold bool) error {
	change := controllerutil.RemoveFinalizer
	if hold {
		change = controllerutil.AddFinalizer
	}
	return p.changePods(ctx, func(pod *corev1.Pod) error {
		patch := lockedFrom(pod)
		if hold && pod.DeletionTimestamp != nil || !change(pod, held) {
			return nil
		}
		return p.api.Patch(ctx, pod, patch)
	})
}

// changePods changes the pods on the lost node. It repeats what the API server refuses, since other parties change the
// pods meanwhile.
func (p *plane) changePods(ctx context.Context, change func(*corev1.Pod) error) error {
	return objects.Until(ctx, healTimeout, func(ctx context.Context) error {
		pods, err := p.podsOnNode(ctx)
		for i := range pods {
			err = errors.Join(err, client.IgnoreNotFound(change(&pods[i])))
		}
		return err
	})
}

// lockedFrom returns a patch for a pod. The API server refuses it if the pod has changed meanwhile, or if another pod
// has its name: that one may be on another node.
func lockedFrom(pod *corev1.Pod) client.Patch {
	return client.MergeFromWithOptions(pod.DeepCopy(), client.MergeFromWithOptimisticLock{})
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
