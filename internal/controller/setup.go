// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset"
)

// Scheme returns all types that the operator reads and writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme),
		disaggregatedsetv1.AddToScheme(scheme))
}

// CacheOptions returns a cache that is limited to what the kinds read.
func CacheOptions() cache.Options {
	return cache.Options{
		ByObject:         leaderworkerset.CacheByObject(),
		DefaultTransform: cache.TransformStripManagedFields(),
	}
}

// ClientOptions returns a client whose reads wait until they show what the same process wrote before. Passes would be
// right without that, and often run twice. The webhook for pods needs it to know the present release.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}}
}

// Options are the options of each kind.
type Options struct {
	LeaderWorkerSet  leaderworkerset.Options
	DisaggregatedSet disaggregatedset.Options
}

// DefaultOptions returns the options of an operator in production.
func DefaultOptions() Options {
	return Options{LeaderWorkerSet: leaderworkerset.DefaultOptions(), DisaggregatedSet: disaggregatedset.DefaultOptions()}
}

// Setup adds the reconcilers and webhooks of each kind, and health checks, to a manager. The manager has the scheme,
// cache and client of this package.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	return errors.Join(
		leaderworkerset.Setup(ctx, mgr, options.LeaderWorkerSet),
		disaggregatedset.Setup(ctx, mgr, options.DisaggregatedSet),
		addHealthChecks(mgr),
	)
}

// addHealthChecks makes the operator ready once its webhooks are served and its caches are filled. Before, it could
// neither admit pods nor decide whether a name is taken.
func addHealthChecks(mgr ctrl.Manager) error {
	synced := func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("caches are not filled yet")
		}
		return nil
	}
	alive := func(*http.Request) error { return nil }
	return errors.Join(
		mgr.AddHealthzCheck("ping", alive),
		mgr.AddReadyzCheck("webhooks", mgr.GetWebhookServer().StartedChecker()),
		mgr.AddReadyzCheck("caches", synced),
	)
}
