// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// patience is how long a set may take to become ready.
const patience = 2 * time.Minute

// bed is a control plane with two replicas of the operator, and a Prometheus that reads both.
type bed struct {
	cluster    *cluster.Cluster
	api        client.Client
	gateway    *gateway
	replicas   []*replica
	access     operator.Access
	prometheus *prometheus
	began      time.Time
}

// replica is a process of the operator that starts again when it ends, unless it is down.
type replica struct {
	*operator.Operator
	mutex sync.Mutex
	down  bool
}

// supervise starts the process again when it has ended, as a kubelet does, until the context is done.
func (r *replica) supervise(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, 500*time.Millisecond) {
		r.mutex.Lock()
		if !r.down && !r.Alive() {
			_ = r.Start(ctx) // An error shows as an alert that doesn't end.
		}
		r.mutex.Unlock()
	}
}

// setDown kills the process and leaves it down, or starts it again.
func (r *replica) setDown(ctx context.Context, down bool) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.down = down
	if down {
		return r.Kill(ctx)
	}
	return r.Start(ctx)
}

// replace asks the process to end, and starts it again.
func (r *replica) replace(ctx context.Context) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return errors.Join(r.Stop(ctx), r.Start(ctx))
}

func newBed(ctx context.Context, prometheus string) (*bed, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	rules, err := scaled(root)
	if err != nil {
		return nil, err
	}
	binary, err := operator.Build(ctx, root)
	if err != nil {
		return nil, err
	}
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lws-operator-alerts-")
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin, Nodes: 4, CRDs: []string{filepath.Join(root, "config", "crd", "bases")},
	})
	if err != nil {
		return nil, err
	}
	b := &bed{cluster: c}
	if err = b.startReplicas(ctx, root, binary); err == nil {
		b.prometheus, err = startPrometheus(ctx, c, prometheus, b.access, b.metricsAddresses(), rules)
	}
	b.began = time.Now()
	if err != nil {
		err = errors.Join(err, b.stop(context.WithoutCancel(ctx)))
	}
	return b, err
}

// startReplicas installs and starts two replicas, and waits for what a client needs to read their metrics.
func (b *bed) startReplicas(ctx context.Context, root, binary string) (err error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	if b.api, err = client.New(b.cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if b.gateway, err = newGateway(); err != nil {
		return err
	}
	controller := operator.Monitored(root, binary)
	if err := operator.InstallMonitored(ctx, b.cluster, root, controller, b.gateway.address); err != nil {
		return err
	}
	for _, name := range []string{"first", "second"} {
		o, err := operator.Add(b.cluster, name, controller)
		if err != nil {
			return err
		}
		if err := o.Start(ctx); err != nil {
			return err
		}
		r := &replica{Operator: o}
		b.replicas, b.gateway.backends = append(b.replicas, r), append(b.gateway.backends, o.Webhooks())
		go r.supervise(ctx)
	}
	return objects.Until(ctx, patience, func(ctx context.Context) (err error) {
		b.access, err = operator.MetricsAccess(ctx, b.cluster, root)
		return err
	})
}

func (b *bed) metricsAddresses() (all []string) {
	for _, r := range b.replicas {
		all = append(all, r.MetricsAddress())
	}
	return all
}

func (b *bed) stop(ctx context.Context) error {
	return errors.Join(b.cluster.Stop(ctx), os.RemoveAll(b.cluster.Dir()))
}

// newSet creates a set in a namespace of its own, both of one name, and waits until all its groups are ready.
func (b *bed) newSet(
	ctx context.Context, name string, replicas int32, fit ...func(*leaderworkersetv1.LeaderWorkerSet),
) error {
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: name},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(replicas),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size: ptr.To(int32(2)),
				WorkerTemplate: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{cluster.ReadyAfterAnnotation: "1s"}},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.9"}}},
				},
			},
		},
	}
	for _, f := range fit {
		f(lws)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := errors.Join(b.api.Create(ctx, namespace), b.api.Create(ctx, lws)); err != nil {
		return err
	}
	return b.untilReady(ctx, name)
}

// untilReady waits until all groups of a set are ready.
func (b *bed) untilReady(ctx context.Context, name string) error {
	return objects.Until(ctx, patience, func(ctx context.Context) error {
		lws, err := b.set(ctx, name)
		if err != nil {
			return err
		}
		if lws.Status.ReadyReplicas != *lws.Spec.Replicas || lws.Status.ObservedGeneration != lws.Generation {
			return fmt.Errorf("%d of %d groups of %s are ready", lws.Status.ReadyReplicas, *lws.Spec.Replicas, name)
		}
		return nil
	})
}

func (b *bed) set(ctx context.Context, name string) (*leaderworkersetv1.LeaderWorkerSet, error) {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	return lws, b.api.Get(ctx, client.ObjectKey{Namespace: name, Name: name}, lws)
}

// edit changes a set.
func (b *bed) edit(ctx context.Context, name string, change func(*leaderworkersetv1.LeaderWorkerSet)) error {
	lws, err := b.set(ctx, name)
	if err != nil {
		return err
	}
	before := lws.DeepCopy()
	change(lws)
	return b.api.Patch(ctx, lws, client.MergeFrom(before))
}

// pod returns a pod of a set by its name.
func (b *bed) pod(ctx context.Context, set, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, b.api.Get(ctx, client.ObjectKey{Namespace: set, Name: name}, pod)
}

// setStatus changes the status of a pod, as its kubelet does.
func (b *bed) setStatus(ctx context.Context, set, name string, change func(*corev1.PodStatus)) error {
	pod, err := b.pod(ctx, set, name)
	if err != nil {
		return err
	}
	before := pod.DeepCopy()
	change(&pod.Status)
	return b.api.Status().Patch(ctx, pod, client.MergeFrom(before))
}

// pause waits for a time, or until the context is done.
func pause(ctx context.Context, delay time.Duration) {
	ended := time.Now().Add(delay)
	_ = wait.PollUntilContextCancel(ctx, min(delay, 50*time.Millisecond), false, func(context.Context) (bool, error) {
		return !time.Now().Before(ended), nil
	})
}
