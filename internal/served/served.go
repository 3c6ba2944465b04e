// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package served waits until the API server serves the operator's own API. The CustomResourceDefinition may be applied
// after the operator's Deployment. Until then, the operator couldn't read a single LeaderWorkerSet.
package served

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// pollInterval is the time between two looks at what the API server serves.
const pollInterval = time.Second

// Wait returns once the API server serves a resource, or when the context ends. Until then, Wait serves probes on an
// address: /healthz succeeds, and /readyz fails. /readyz/api says what Wait waits for. The error is that the API server
// can't be asked in the first place, or that the address can't be served on.
func Wait(ctx context.Context, config *rest.Config, resource schema.GroupVersionResource, probeAddress string) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	if ok, err := isServed(client, resource); ok || err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: probeAddress,
	})
	if err != nil {
		return err
	}
	w := &waiter{client: client, resource: resource}
	if err := w.addTo(mgr); err != nil {
		return err
	}
	ctx, w.done = context.WithCancel(ctx)
	defer w.done()
	mgr.GetLogger().Info("The operator waits until the API server serves its API: apply its CustomResourceDefinition",
		"resource", resource.GroupResource().String(), "version", resource.Version)
	return mgr.Start(ctx)
}

// Until returns once the API server serves a resource that the operator can do without, or when the context ends. Until
// looks again after each interval, and says once what it waits for. The error is that no client can be made.
func Until(
	ctx context.Context, config *rest.Config, resource schema.GroupVersionResource, interval time.Duration,
) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	said := false
	err = wait.PollUntilContextCancel(ctx, interval, true, func(context.Context) (bool, error) {
		ok, err := isServed(client, resource)
		if err == nil && !ok && !said {
			said = true
			ctrl.Log.Info("The API server doesn't serve an API that the operator can do without. "+
				"To use it, apply its CustomResourceDefinition",
				"resource", resource.GroupResource().String(), "version", resource.Version)
		}
		return ok, nil
	})
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// isServed reports whether the API server serves a resource.
func isServed(client discovery.ServerResourcesInterface, resource schema.GroupVersionResource) (bool, error) {
	served, err := client.ServerResourcesForGroupVersion(resource.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return slices.ContainsFunc(served.APIResources, func(each metav1.APIResource) bool {
		return each.Name == resource.Resource
	}), nil
}

// waiter polls until a resource is served, and answers probes meanwhile.
type waiter struct {
	client   discovery.ServerResourcesInterface
	resource schema.GroupVersionResource

	// done ends the manager that runs the waiter.
	done context.CancelFunc

	// failure is why the last look failed. It is nil if the look didn't fail.
	failure atomic.Pointer[error]
}

// addTo adds the waiter and its health checks to a manager.
func (w *waiter) addTo(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("api", w.ready); err != nil {
		return err
	}
	return mgr.Add(manager.RunnableFunc(w.run))
}

// run ends the manager when the resource is served.
func (w *waiter) run(ctx context.Context) error {
	defer w.done()
	err := wait.PollUntilContextCancel(ctx, pollInterval, false, func(context.Context) (bool, error) {
		ok, err := isServed(w.client, w.resource)
		w.failure.Store(&err)
		return ok, nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ready returns what the waiter waits for, as an error.
func (w *waiter) ready(*http.Request) error {
	err := fmt.Errorf("the API server doesn't serve %s of version %s: apply the CustomResourceDefinition",
		w.resource.GroupResource(), w.resource.Version)
	if failure := w.failure.Load(); failure != nil && *failure != nil {
		return fmt.Errorf("%w; the API server can't be asked now: %w", err, *failure)
	}
	return err
}
