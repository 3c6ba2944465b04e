// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// faultTime is how long a fault lasts that doesn't end by itself.
const faultTime = 6 * time.Second

// none is the round without a fault, for comparison.
const none = "none"

// fault is one kind of fault. It has ended when do returns.
type fault struct {
	name string
	do   func(context.Context, *plane) error
}

// faults returns all kinds.
func faults() []fault {
	return []fault{
		{none, func(ctx context.Context, _ *plane) error { pause(ctx, faultTime); return nil }},
		{"leader killed", toLeader(func(ctx context.Context, r *replica) error { return r.end(ctx, syscall.SIGKILL) })},
		{"leader terminated", toLeader(func(ctx context.Context, r *replica) error { return r.end(ctx, syscall.SIGTERM) })},
		{"leader frozen", toLeader(freeze)},
		{"leader cut off", toLeader(cutOff)},
		{"clock an hour ahead", shiftClock(time.Hour)},
		{"clock an hour behind", shiftClock(-time.Hour)},
		{"all replicas killed", killAll},
		{"lease stolen", stealLease},
		{"API server killed", restart(cluster.APIServer, syscall.SIGKILL)},
		{"API server terminated", restart(cluster.APIServer, syscall.SIGTERM)},
		{"etcd killed", restart(cluster.Etcd, syscall.SIGKILL)},
		{"etcd terminated", restart(cluster.Etcd, syscall.SIGTERM)},
		{"controller manager killed", restart(cluster.ControllerManager, syscall.SIGKILL)},
		{"scheduler killed", restart(cluster.Scheduler, syscall.SIGKILL)},
		{"kubelets frozen", freezeKubelets},
		{"node lost", loseNode},
		{"namespace deleted", deleteNamespace},
		{"sets orphaned", orphanSets},
		{"quota", quota},
		{"watches cut", withTrouble(trouble{Blind: true})},
		{"requests throttled", withTrouble(trouble{Throttled: 0.5})},
		{"answers late", withTrouble(trouble{Delay: 2 * time.Second})},
		{"answers lost", withTrouble(trouble{Lost: 0.3})},
		{"webhooks time out", hangWebhooks},
	}
}

// toLeader does something to the elected replica.
func toLeader(do func(context.Context, *replica) error) func(context.Context, *plane) error {
	return func(ctx context.Context, p *plane) error {
		leader, err := p.leader(ctx)
		if err != nil {
			return err
		}
		return do(ctx, leader)
	}
}

// freeze stops a replica until it has lost its lease. Then the replica goes on with what it was doing.
func freeze(ctx context.Context, r *replica) error {
	if err := r.operator.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, leaseTime+2*time.Second)
	return r.operator.Signal(syscall.SIGCONT)
}

// cutOff keeps a replica from the API server until it has lost its lease.
func cutOff(ctx context.Context, r *replica) error {
	r.proxy.set(trouble{Cut: true})
	pause(ctx, leaseTime+2*time.Second)
	r.proxy.set(trouble{})
	return nil
}

func killAll(ctx context.Context, p *plane) error {
	var errs []error
	for _, r := range p.replicas {
		errs = append(errs, r.end(ctx, syscall.SIGKILL))
	}
	return errors.Join(errs...)
}

// stealLease gives the leases of the operator to somebody else, who then stays away.
func stealLease(ctx context.Context, p *plane) error {
	var leases coordinationv1.LeaseList
	if err := p.api.List(ctx, &leases, client.InNamespace(operator.Namespace)); err != nil {
		return err
	}
	for i := range leases.Items {
		patch := client.MergeFrom(leases.Items[i].DeepCopy())
		leases.Items[i].Spec.HolderIdentity, leases.Items[i].Spec.RenewTime = ptr.To("thief"), ptr.To(metav1.NowMicro())
		if err := p.api.Patch(ctx, &leases.Items[i], patch); err != nil && ctx.Err() == nil {
			return err
		}
	}
	pause(ctx, faultTime)
	return nil
}

func restart(component string, signal syscall.Signal) func(context.Context, *plane) error {
	return func(ctx context.Context, p *plane) error {
		p.components.Lock()
		defer p.components.Unlock()
		return p.cluster.Restart(ctx, component, signal, time.Second)
	}
}

// freezeKubelets stops all kubelets. Their leases outlive that.
func freezeKubelets(ctx context.Context, p *plane) error {
	if err := p.cluster.Signal(cluster.Kubelets, syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, faultTime)
	return p.cluster.Signal(cluster.Kubelets, syscall.SIGCONT)
}

// namespaceTimeout bounds the deletion of a namespace. The API server deletes its events one by one. After 39 rounds,
// that takes longer than a request may.
const namespaceTimeout = 5 * time.Minute

// deleteNamespace deletes a namespace with sets, and creates it again once it is gone.
func deleteNamespace(ctx context.Context, p *plane) error {
	newNamespace := func() *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: doomed}}
	}
	if err := p.api.Delete(ctx, newNamespace()); err != nil {
		return err
	}
	return objects.Until(ctx, namespaceTimeout, func(ctx context.Context) error {
		if err := p.api.Create(ctx, newNamespace()); apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("namespace %s isn't gone", doomed)
		} else if err != nil {
			return err
		}
		return nil
	})
}

// orphanSets deletes the sets of a namespace without their objects. Clients create some of the sets again meanwhile.
// The others are created again when the fault has ended. The new sets adopt the objects.
func orphanSets(ctx context.Context, p *plane) error {
	var sets leaderworkersetv1.LeaderWorkerSetList
	if err := p.api.List(ctx, &sets, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range sets.Items {
		p.judge.client(client.ObjectKeyFromObject(&sets.Items[i]), "", "deletes the set, Orphan")
		err := p.api.Delete(ctx, &sets.Items[i], client.PropagationPolicy(metav1.DeletePropagationOrphan))
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	pause(ctx, faultTime)
	return nil
}

// quota allows half of the pods that there are.
func quota(ctx context.Context, p *plane) error {
	var pods corev1.PodList
	if err := p.api.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	limit := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "half"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourcePods: *resource.NewQuantity(int64(len(pods.Items)/2), resource.DecimalSI),
		}},
	}
	if err := p.api.Create(ctx, limit); err != nil {
		return err
	}
	pause(ctx, 2*faultTime)
	return p.api.Delete(ctx, limit)
}

// withTrouble lets the proxies of all replicas make trouble.
func withTrouble(t trouble) func(context.Context, *plane) error {
	return func(ctx context.Context, p *plane) error {
		for _, r := range p.replicas {
			r.proxy.set(t)
		}
		pause(ctx, faultTime)
		for _, r := range p.replicas {
			r.proxy.set(trouble{})
		}
		return nil
	}
}

func hangWebhooks(ctx context.Context, p *plane) error {
	p.relay.hang(true)
	pause(ctx, faultTime)
	p.relay.hang(false)
	return nil
}
