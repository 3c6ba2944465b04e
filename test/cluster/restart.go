// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// The components that Signal and Restart take, by name.
const (
	Etcd              = etcd
	APIServer         = apiServer
	ControllerManager = controllerManager
	Scheduler         = scheduler
	Kubelets          = kwok
)

// endGrace is how long a component may take to end after a signal before Restart kills it.
const endGrace = 5 * time.Second

// Signal sends a signal to a component, such as SIGSTOP and SIGCONT.
func (c *Cluster) Signal(component string, signal syscall.Signal) error {
	return signalAll(c.named(component), signal)
}

// Restart ends a component by a signal, such as SIGTERM or SIGKILL, and starts it again after the delay, with the same
// data. It returns when the component is healthy. Only the program that started the cluster can restart components, one
// at a time.
//
// kwok drops most requests that fail, unlike a kubelet, and looks at a pod again only when the pod changes.
func (c *Cluster) Restart(ctx context.Context, component string, signal syscall.Signal, delay time.Duration) error {
	if c.setup.Dir == "" {
		return errors.New("another program started the cluster")
	}
	running := c.named(component)
	if err := signalAll(running, signal); err != nil {
		return err
	}
	if untilEnded(ctx, endGrace, running) != nil {
		if err := errors.Join(signalAll(running, syscall.SIGKILL), untilEnded(ctx, killGrace, running)); err != nil {
			return err
		}
	}
	if err := pause(ctx, delay); err != nil {
		return err
	}
	if err := c.spawn(c.setup, component); err != nil {
		return err
	}
	return c.untilRestarted(ctx, component)
}

// Revive starts the components again that have ended by themselves. It must not be called during Restart.
func (c *Cluster) Revive() error {
	for _, component := range []string{etcd, apiServer, controllerManager, scheduler, kwok} {
		for _, p := range c.named(component) {
			if p.alive() {
				continue
			}
			if err := c.spawn(c.setup, component); err != nil {
				return err
			}
		}
	}
	return nil
}

// untilRestarted waits until a component is healthy. kwok has no server to ask.
func (c *Cluster) untilRestarted(ctx context.Context, component string) error {
	paths := map[string]string{etcd: "/health", apiServer: "/readyz", controllerManager: "/healthz", scheduler: "/healthz"}
	if paths[component] == "" {
		return nil
	}
	probe, err := c.setup.probe()
	if err != nil {
		return err
	}
	defer probe.CloseIdleConnections()
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	return c.untilHealthy(ctx, c.setup, probe, component, paths[component])
}

// pause waits for a time, or until the context is done.
func pause(ctx context.Context, delay time.Duration) error {
	ended := time.Now().Add(delay)
	return wait.PollUntilContextCancel(ctx, stopPoll, true, func(context.Context) (bool, error) {
		return !time.Now().Before(ended), nil
	})
}
