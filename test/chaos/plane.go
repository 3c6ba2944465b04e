// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/chaos/judge"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// plane is the control plane with two replicas of the operator, each behind a proxy.
type plane struct {
	cluster *cluster.Cluster
	// components guards the components of the control plane against starts and ends at the same time.
	components sync.Mutex
	replicas   []*replica
	relay      *relay
	api        client.WithWatch
	judge      *recorder
}

func newPlane(ctx context.Context, audit bool) (*plane, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	binary, err := buildWithClock(ctx, root)
	if err != nil {
		return nil, err
	}
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lws-operator-chaos-")
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin, Nodes: 4, CRDs: []string{filepath.Join(root, "config", "crd", "bases")}, Audit: audit,
	})
	if err != nil {
		return nil, err
	}
	p := &plane{cluster: c, judge: &recorder{judge: judge.New()}}
	if err := p.start(ctx, root, binary); err != nil {
		return nil, errors.Join(err, p.stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// start starts the replicas, the watches and what stands in for a real cluster's.
func (p *plane) start(ctx context.Context, root, binary string) (err error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	if p.api, err = client.NewWithWatch(p.cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return err
	}
	for _, name := range []string{"first", "second"} {
		r, err := p.newReplica(ctx, root, binary, name)
		if err != nil {
			return err
		}
		p.replicas = append(p.replicas, r)
		go r.supervise(ctx)
	}
	if err := p.redirect(ctx); err != nil {
		return err
	}
	for _, name := range []string{namespace, doomed} {
		if err := p.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	for _, list := range []client.ObjectList{
		&leaderworkersetv1.LeaderWorkerSetList{}, &appsv1.StatefulSetList{}, &corev1.PodList{},
		&corev1.PersistentVolumeClaimList{}, &corev1.NamespaceList{},
	} {
		go follow(ctx, p.api, list, p.judge.observe)
	}
	go provision(ctx, p.api)
	go nudge(ctx, p.api)
	go p.revive(ctx)
	return nil
}

// revive starts the components of the control plane again that have ended, until the context is done. The scheduler
// ends if its cache contradicts the API server, which happens when the API server is killed.
func (p *plane) revive(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, time.Second) {
		p.components.Lock()
		_ = p.cluster.Revive() // An error shows as a set that doesn't heal.
		p.components.Unlock()
	}
}

// redirect makes the API server call the webhooks through the relay.
func (p *plane) redirect(ctx context.Context) (err error) {
	var backends []string
	for _, r := range p.replicas {
		backends = append(backends, r.operator.Webhooks())
	}
	if p.relay, err = newRelay(backends); err != nil {
		return err
	}
	divert := func(c *admissionregistrationv1.WebhookClientConfig) {
		*c.URL = strings.Replace(*c.URL, backends[0], p.relay.address, 1)
	}
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	if err := errors.Join(p.api.List(ctx, &mutating), p.api.List(ctx, &validating)); err != nil {
		return err
	}
	for i := range mutating.Items {
		for k := range mutating.Items[i].Webhooks {
			divert(&mutating.Items[i].Webhooks[k].ClientConfig)
		}
		err = errors.Join(err, p.api.Update(ctx, &mutating.Items[i]))
	}
	for i := range validating.Items {
		for k := range validating.Items[i].Webhooks {
			divert(&validating.Items[i].Webhooks[k].ClientConfig)
		}
		err = errors.Join(err, p.api.Update(ctx, &validating.Items[i]))
	}
	return err
}

// adoptOrphans creates the sets whose objects an orphaning deletion has left.
func (p *plane) adoptOrphans(ctx context.Context, state *judge.State) {
	for _, key := range state.Orphans() {
		p.judge.client(key, "", "creates the set again, which adopts orphans")
		_ = p.api.Create(ctx, newSet(key))
	}
}

// keepLogs copies the logs of all processes to a directory.
func (p *plane) keepLogs(dir string) error {
	if dir == "" {
		return nil
	}
	logs := filepath.Join(dir, "logs")
	err := os.RemoveAll(logs) // Those of an earlier run.
	if err = errors.Join(err, os.CopyFS(logs, os.DirFS(filepath.Join(p.cluster.Dir(), "logs")))); err != nil {
		return fmt.Errorf("keep the logs: %w", err)
	}
	return os.Rename(p.cluster.AuditLog(), filepath.Join(dir, "audit.log"))
}

func (p *plane) stop(ctx context.Context) error {
	return errors.Join(p.cluster.Stop(ctx), os.RemoveAll(p.cluster.Dir()))
}
