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
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// configuration is the operator's. Its lease and its delays are short, so that rounds are.
const configuration = `apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1
kind: OperatorConfiguration
controllers: {restarts: {baseDelay: 1s, maxDelay: 2s}}
leaderElection: {leaderElect: true, namespace: ` + operator.Namespace + `, leaseDuration: 6s, renewDeadline: 4s, retryPeriod: 1s}
webhook: {host: "{host}", port: {webhook-port}, certificate: {files: {directory: "{dir}"}}}
metrics: {bindAddress: "{host}:{metrics-port}", secure: false}
health: {bindAddress: "{host}:{health-port}"}
shutdown: {delay: 0s}
`

// plane is the control plane, with the operator behind a proxy.
type plane struct {
	cluster  *cluster.Cluster
	operator *operator.Operator
	proxy    *proxy
	relay    *relay
	api      client.WithWatch
	judge    *judge
}

func newPlane(ctx context.Context) (*plane, error) {
	root, err := cluster.Root()
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
		Dir: dir, Bin: bin, Nodes: 4, CRDs: []string{filepath.Join(root, "config", "crd", "bases")},
	})
	if err != nil {
		return nil, err
	}
	p := &plane{cluster: c, judge: newJudge()}
	if err := p.start(ctx, root, dir); err != nil {
		return nil, errors.Join(err, p.stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// start makes the clients and starts the operator.
func (p *plane) start(ctx context.Context, root, dir string) (err error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	if p.api, err = client.NewWithWatch(p.cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return err
	}
	var address string
	p.proxy, address, err = newProxy(p.cluster.RESTConfig(), operator.User,
		"system:serviceaccounts", "system:serviceaccounts:"+operator.Namespace, "system:authenticated")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(dir, "users", "chaos.kubeconfig")
	if err := writeKubeconfig(kubeconfig, address); err != nil {
		return err
	}
	binary, err := operator.Build(ctx, root)
	if err != nil {
		return err
	}
	controller := operator.Ours(root, binary)
	controller.Command = []string{binary, "--kubeconfig=" + kubeconfig, "--config={dir}/config.yaml"}
	controller.Files = map[string]string{"config.yaml": configuration}
	if p.operator, err = operator.InstallController(ctx, p.cluster, root, controller); err != nil {
		return err
	}
	if err := p.redirect(ctx); err != nil {
		return err
	}
	if err := p.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: keyOf(0).Namespace}}); err != nil {
		return err
	}
	go follow(ctx, p.api, &leaderworkersetv1.LeaderWorkerSetList{}, p.judge.observeSet)
	go follow(ctx, p.api, &appsv1.StatefulSetList{}, p.judge.observeStatefulSet)
	go follow(ctx, p.api, &corev1.PodList{}, p.judge.observePod)
	go p.supervise(ctx)
	return nil
}

// redirect makes the API server call the webhooks through the relay.
func (p *plane) redirect(ctx context.Context) (err error) {
	p.relay, err = newRelay(func() []string { return []string{p.operator.Webhooks()} })
	if err != nil {
		return err
	}
	divert := func(c *admissionregistrationv1.WebhookClientConfig) {
		*c.URL = strings.Replace(*c.URL, p.operator.Webhooks(), p.relay.address, 1)
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

// supervise starts the operator again when it has ended by itself, as a kubelet does, and lets the judge decide.
func (p *plane) supervise(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		p.judge.decide()
		if !p.operator.Alive() {
			pause(ctx, 3*time.Second) // A fault that ended it starts it itself.
			if ctx.Err() == nil && !p.operator.Alive() {
				_ = p.operator.Start(ctx)
			}
		}
	}
}

func (p *plane) stop(ctx context.Context) error {
	return errors.Join(p.cluster.Stop(ctx), os.RemoveAll(p.cluster.Dir()))
}

// countAffected returns how many groups stopped being ready in this round.
func (j *judge) countAffected() int {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return len(j.affected)
}

// broken returns an error about the broken promises.
func (j *judge) broken() error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if len(j.violations) == 0 {
		return nil
	}
	return fmt.Errorf("%d broken promises:\n%s", len(j.violations), strings.Join(j.violations, "\n"))
}

// films returns what happened to all sets last.
func (j *judge) films() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	var text strings.Builder
	for key, s := range j.sets {
		fmt.Fprintf(&text, "%s\n    %s\n", key, strings.Join(s.film, "\n    "))
	}
	return text.String()
}
