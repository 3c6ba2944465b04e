// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

const (
	clients  = 3
	setCount = 8
	// requestTimeout bounds a request of a client while the API server is away.
	requestTimeout = 5 * time.Second
	// namespace is the namespace of most sets. The others are in doomed, which a fault deletes.
	namespace, doomed = "chaos", "doomed"
)

// user is one client. It takes all its decisions from its own random numbers.
type user struct {
	api    client.Client
	random *rand.Rand
	judge  *recorder
}

// keyOf returns the name of one of the sets.
func keyOf(i int) types.NamespacedName {
	key := types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("set-%c", 'a'+i)}
	if i >= setCount-2 {
		key.Namespace = doomed
	}
	return key
}

// run acts until the context is done.
func (u *user) run(ctx context.Context) {
	for ctx.Err() == nil {
		u.act(ctx)
		pause(ctx, time.Duration(200+u.random.IntN(800))*time.Millisecond)
	}
}

// act does one thing to one set. Errors are part of the chaos.
func (u *user) act(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	key, action := keyOf(u.random.IntN(setCount)), u.random.IntN(20)
	number, pick := u.random.Int32N(4), u.random.IntN(1000)
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := u.api.Get(ctx, key, lws); client.IgnoreNotFound(err) != nil {
		return
	} else if err != nil {
		u.judge.client(key, "", "creates the set")
		_ = u.api.Create(ctx, newSet(key))
		return
	}
	switch {
	case action == 0:
		policies := []metav1.DeletionPropagation{"Background", "Foreground", "Orphan"}
		policy := policies[int(number)%len(policies)]
		u.judge.client(key, "", "deletes the set, "+string(policy))
		_ = u.api.Delete(ctx, lws, client.PropagationPolicy(policy))
	case action < 14:
		u.edit(ctx, lws, action, number)
	default:
		u.harm(ctx, key, action, pick)
	}
}

// edit changes the spec of a set.
func (u *user) edit(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet, action int, number int32) {
	before := lws.DeepCopy()
	budget := lws.Spec.RolloutStrategy.RollingUpdateConfiguration
	what := "sets the partition"
	switch {
	case action < 6:
		what = "scales"
		lws.Spec.Replicas = ptr.To(number + 1)
	case action < 11:
		what = "rolls"
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = image(number)
	case action < 13:
		what = "changes the budget"
		budget.MaxUnavailable = ptr.To(intstr.FromInt32(1 + number%2))
		budget.MaxSurge = ptr.To(intstr.FromInt32(number / 2))
	default:
		budget.Partition = ptr.To(max(0, number-2))
	}
	u.judge.client(client.ObjectKeyFromObject(lws), "", what)
	_ = u.api.Patch(ctx, lws, client.MergeFrom(before))
}

// harm deletes a pod, or restarts its container.
func (u *user) harm(ctx context.Context, key types.NamespacedName, action, pick int) {
	var list corev1.PodList
	err := u.api.List(ctx, &list, client.InNamespace(key.Namespace),
		client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: key.Name})
	if err != nil || len(list.Items) == 0 {
		return
	}
	pod := &list.Items[pick%len(list.Items)]
	if action >= 18 && settled(pod) { // A pod that isn't ready yet would never be: see pod-ready in simulation.yaml.
		u.judge.client(key, pod.UID, "restarts the container of "+pod.Name)
		before := pod.DeepCopy()
		pod.Status.ContainerStatuses[0].RestartCount++
		_ = u.api.Status().Patch(ctx, pod, client.MergeFrom(before))
		return
	}
	grace := int64(pick % 2 * 30)
	u.judge.client(key, pod.UID, fmt.Sprintf("deletes pod %s, grace %d s", pod.Name, grace))
	_ = u.api.Delete(ctx, pod, client.GracePeriodSeconds(grace), client.Preconditions{UID: &pod.UID})
}

func image(number int32) string { return fmt.Sprintf("registry.k8s.io/pause:3.%d", number) }
