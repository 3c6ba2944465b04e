// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// faultTime is how long a fault lasts that doesn't end by itself.
const faultTime = 6 * time.Second

// fault is one kind of fault. It has ended when do returns.
type fault struct {
	name string
	do   func(context.Context, *plane) error
}

// faults returns all kinds. The first one is the comparison: load without a fault.
func faults() []fault {
	return []fault{
		{"none", func(ctx context.Context, _ *plane) error { pause(ctx, faultTime); return nil }},
		{"operator killed", func(ctx context.Context, p *plane) error {
			return errors.Join(p.operator.Kill(ctx), p.operator.Start(ctx))
		}},
		{"operator terminated", func(ctx context.Context, p *plane) error {
			return errors.Join(p.operator.Stop(ctx), p.operator.Start(ctx))
		}},
		{"API server killed", restart(cluster.APIServer, syscall.SIGKILL)},
		{"API server terminated", restart(cluster.APIServer, syscall.SIGTERM)},
		{"etcd killed", restart(cluster.Etcd, syscall.SIGKILL)},
		{"etcd terminated", restart(cluster.Etcd, syscall.SIGTERM)},
		{"controller manager killed", restart(cluster.ControllerManager, syscall.SIGKILL)},
		{"watches cut", withTrouble(trouble{Blind: true})},
		{"operator cut off", withTrouble(trouble{Cut: true})},
		{"requests throttled", withTrouble(trouble{Throttled: 0.5})},
		{"answers late", withTrouble(trouble{Delay: 2 * time.Second})},
		{"answers lost", withTrouble(trouble{Lost: 0.3})},
		{"webhooks time out", func(ctx context.Context, p *plane) error {
			p.relay.hang(true)
			pause(ctx, faultTime)
			p.relay.hang(false)
			return nil
		}},
		{"lease stolen", stealLease},
	}
}

func restart(component string, signal syscall.Signal) func(context.Context, *plane) error {
	return func(ctx context.Context, p *plane) error {
		return p.cluster.Restart(ctx, component, signal, time.Second)
	}
}

func withTrouble(t trouble) func(context.Context, *plane) error {
	return func(ctx context.Context, p *plane) error {
		p.proxy.set(t)
		pause(ctx, faultTime)
		p.proxy.set(trouble{})
		return nil
	}
}

// stealLease gives the leases of the operator to somebody else, who then stays away.
func stealLease(ctx context.Context, p *plane) error {
	var leases coordinationv1.LeaseList
	if err := p.api.List(ctx, &leases, client.InNamespace(operator.Namespace)); err != nil {
		return err
	}
	for i := range leases.Items {
		lease := &leases.Items[i]
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = ptr.To("thief"), ptr.To(metav1.NowMicro())
		if err := p.api.Update(ctx, lease); err != nil && ctx.Err() == nil {
			return err
		}
	}
	pause(ctx, faultTime)
	return nil
}
