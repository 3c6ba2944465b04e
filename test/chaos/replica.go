// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/leaderworkerset/lws-operator/test/operator"
)

// configuration is the operator's. Its lease and its delays are short, so that rounds are.
const configuration = `apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1
kind: OperatorConfiguration
controllers: {restarts: {baseDelay: 1s, maxDelay: 2s}}
leaderElection:
  leaderElect: true
  namespace: ` + operator.Namespace + `
  leaseDuration: 6s
  renewDeadline: 4s
  retryPeriod: 1s
webhook: {host: "{host}", port: {webhook-port}, certificate: {files: {directory: "{dir}"}}}
metrics: {bindAddress: "{host}:{metrics-port}", secure: false}
health: {bindAddress: "{host}:{health-port}"}
shutdown: {delay: 0s}
`

// leaseTime is how long a lease lasts that its holder doesn't renew.
const leaseTime = 6 * time.Second

// replica is a process of the operator behind a proxy.
type replica struct {
	proxy *proxy
	// mutex guards the process against starts and ends at the same time.
	mutex    sync.Mutex
	operator *operator.Operator
}

// newReplica starts the first replica, or another one beside it.
func (p *plane) newReplica(ctx context.Context, root, binary, name string) (*replica, error) {
	proxy, address, err := newProxy(p.cluster.RESTConfig(), operator.User,
		"system:serviceaccounts", "system:serviceaccounts:"+operator.Namespace, "system:authenticated")
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(p.cluster.Dir(), "users", name+".kubeconfig")
	if err := writeKubeconfig(kubeconfig, address); err != nil {
		return nil, err
	}
	controller := operator.Ours(root, binary)
	controller.Command = []string{binary, "--kubeconfig=" + kubeconfig, "--config={dir}/config.yaml"}
	controller.Files = map[string]string{"config.yaml": configuration}
	r := &replica{proxy: proxy}
	if len(p.replicas) == 0 {
		r.operator, err = operator.InstallController(ctx, p.cluster, root, controller)
	} else {
		r.operator, err = p.replicas[0].operator.Replica(ctx, name, controller)
	}
	return r, err
}

// end ends the process by a signal. The supervisor starts it again.
func (r *replica) end(ctx context.Context, signal syscall.Signal) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if signal == syscall.SIGKILL {
		return r.operator.Kill(ctx)
	}
	return r.operator.Stop(ctx)
}

// supervise starts the process again when it has ended, as a kubelet does, until the context is done.
func (r *replica) supervise(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, time.Second) {
		r.mutex.Lock()
		if !r.operator.Alive() {
			_ = r.operator.Start(ctx) // An error shows as a set that doesn't heal.
		}
		r.mutex.Unlock()
	}
}

// leads reports whether the replica is the elected one. A process that doesn't answer isn't.
func (r *replica) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	metrics, err := r.operator.Metrics(ctx)
	if err != nil {
		return false
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "leader_election_master_status{") && strings.HasSuffix(line, " 1\n") {
			return true
		}
	}
	return false
}

// leader waits for the elected replica.
func (p *plane) leader(ctx context.Context) (*replica, error) {
	for end := time.Now().Add(4 * leaseTime); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, retryDelay) {
		for _, r := range p.replicas {
			if r.leads(ctx) {
				return r, nil
			}
		}
	}
	return nil, errors.New("no replica leads")
}
