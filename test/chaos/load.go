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
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

const (
	clients  = 3
	setCount = 6
	// requestTimeout bounds a request of a client while the API server is away.
	requestTimeout = 5 * time.Second
)

// user is one client. It takes all its decisions from its own random numbers.
type user struct {
	api    client.WithWatch
	random *rand.Rand
	judge  *judge
}

// keyOf returns the name of one of the sets.
func keyOf(i int) types.NamespacedName {
	return types.NamespacedName{Namespace: "chaos", Name: fmt.Sprintf("set-%c", 'a'+i)}
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
	number, pick := u.random.IntN(4), u.random.IntN(1000)
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := u.api.Get(ctx, key, lws); client.IgnoreNotFound(err) != nil {
		return
	} else if err != nil {
		u.judge.load(key, "", "creates the set", "created")
		_ = u.api.Create(ctx, newSet(key))
		return
	}
	switch {
	case action == 0:
		policies := []metav1.DeletionPropagation{"Background", "Foreground", "Orphan"}
		policy := policies[number%len(policies)]
		u.judge.load(key, "", "deletes the set, "+string(policy), "deleted")
		_ = u.api.Delete(ctx, lws, client.PropagationPolicy(policy))
	case action < 6:
		u.edit(ctx, lws, "scales", func(s *leaderworkersetv1.LeaderWorkerSetSpec) { s.Replicas = ptr.To(int32(number + 1)) })
	case action < 11:
		u.edit(ctx, lws, "rolls", func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = fmt.Sprintf("registry.k8s.io/pause:3.%d", number)
		})
	case action < 13:
		u.edit(ctx, lws, "changes the budget", func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			c := s.RolloutStrategy.RollingUpdateConfiguration
			c.MaxUnavailable, c.MaxSurge = ptr.To(intstr.FromInt32(int32(1+number%2))), ptr.To(intstr.FromInt32(int32(number/2)))
		})
	case action < 14:
		u.edit(ctx, lws, "sets the partition", func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To(int32(max(0, number-2)))
		})
	default:
		u.harm(ctx, key, action, pick)
	}
}

// edit changes the spec of a set.
func (u *user) edit(
	ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet, what string,
	change func(*leaderworkersetv1.LeaderWorkerSetSpec),
) {
	before := lws.DeepCopy()
	change(&lws.Spec)
	u.judge.load(client.ObjectKeyFromObject(lws), "", what, "")
	_ = u.api.Patch(ctx, lws, client.MergeFrom(before))
}

// harm kills a pod, or restarts its container.
func (u *user) harm(ctx context.Context, key types.NamespacedName, action, pick int) {
	var list corev1.PodList
	err := u.api.List(ctx, &list, client.InNamespace(key.Namespace),
		client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: key.Name})
	if err != nil || len(list.Items) == 0 {
		return
	}
	pod := &list.Items[pick%len(list.Items)]
	if action >= 18 && len(pod.Status.ContainerStatuses) > 0 {
		u.judge.load(key, pod.UID, "restarts the container of "+pod.Name, "")
		before := pod.DeepCopy()
		pod.Status.ContainerStatuses[0].RestartCount++
		_ = u.api.Status().Patch(ctx, pod, client.MergeFrom(before))
		return
	}
	u.judge.load(key, pod.UID, "deletes pod "+pod.Name, "")
	grace := client.GracePeriodSeconds(int64(pick % 2 * 30))
	_ = u.api.Delete(ctx, pod, grace, client.Preconditions{UID: &pod.UID})
}

// newSet returns a set of two groups of three pods.
func newSet(key types.NamespacedName) *leaderworkersetv1.LeaderWorkerSet {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.0"}},
	}}
	template.Annotations = map[string]string{
		cluster.ReadyAfterAnnotation: "500ms", cluster.TerminateAfterAnnotation: "300ms",
	}
	return &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(int32(2)),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size: ptr.To(int32(3)), WorkerTemplate: template,
			},
		},
	}
}

// healthy returns an error unless each set that exists is exactly what its spec asks for. Orphans are adopted first.
func healthy(ctx context.Context, api client.WithWatch) error {
	for i := range setCount {
		key := keyOf(i)
		lws, pods := &leaderworkersetv1.LeaderWorkerSet{}, &corev1.PodList{}
		err := api.Get(ctx, key, lws)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		listErr := api.List(ctx, pods, client.InNamespace(key.Namespace),
			client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: key.Name})
		switch {
		case listErr != nil:
			return listErr
		case err != nil && len(pods.Items) > 0:
			_ = api.Create(ctx, newSet(key)) // Adopts what an orphaning deletion has left.
			return fmt.Errorf("%s is deleted, and has %d pods", key.Name, len(pods.Items))
		case err != nil:
			continue
		}
		if err := complete(lws, pods.Items); err != nil {
			finishStopped(ctx, api, pods.Items)
			return err
		}
	}
	return nil
}

// finishStopped deletes pods that kwok has stopped without deleting them, since the API server ended between its two
// requests. kwok doesn't repeat the second one; a kubelet does.
func finishStopped(ctx context.Context, api client.WithWatch, pods []corev1.Pod) {
	for i := range pods {
		if pods[i].DeletionTimestamp != nil && pods[i].Annotations["cluster.lws-operator.dev/stopped"] != "" {
			_ = api.Delete(ctx, &pods[i], client.GracePeriodSeconds(0), client.Preconditions{UID: &pods[i].UID})
		}
	}
}

// complete returns an error unless the pods are those that the spec of a set asks for.
func complete(lws *leaderworkersetv1.LeaderWorkerSet, pods []corev1.Pod) error {
	want := int(*lws.Spec.Replicas * *lws.Spec.LeaderWorkerTemplate.Size)
	partition := int(*lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition)
	current := 0
	for i := range pods {
		var index int
		_, _ = fmt.Sscanf(pods[i].Labels[leaderworkersetv1.GroupIndexLabelKey], "%d", &index)
		if podReady(&pods[i]) && (index < partition || pods[i].Spec.Containers[0].Image == imageOf(&lws.Spec)) {
			current++
		}
	}
	if len(pods) != want || current != want || lws.DeletionTimestamp != nil ||
		lws.Status.ObservedGeneration != lws.Generation || lws.Status.ReadyReplicas != *lws.Spec.Replicas {
		return fmt.Errorf("%s has %d pods, %d of them right, and wants %d; status %d of %d groups ready, generation %d of %d",
			lws.Name, len(pods), current, want, lws.Status.ReadyReplicas, *lws.Spec.Replicas,
			lws.Status.ObservedGeneration, lws.Generation)
	}
	return nil
}
