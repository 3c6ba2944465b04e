// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package shutdown ends a replica of the operator without losing a webhook request. After SIGTERM, the replica keeps
// working for a while, until API servers have stopped calling its webhooks.
package shutdown

import (
	"context"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// Delayed returns a context that ends the given delay after ctx does.
func Delayed(ctx context.Context, delay time.Duration, timer clock.WithDelayedExecution) context.Context {
	delayed, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { timer.AfterFunc(delay, cancel) })
	return delayed
}

// Server returns a webhook server that closes each connection after its next answer, once ctx has ended. API servers
// open no new connections to a terminating replica, but keep using the open ones. A request that arrives while such a
// connection closes would be lost.
func Server(ctx context.Context, server webhook.Server) webhook.Server {
	return &closingServer{Server: server, ending: ctx.Done()}
}

type closingServer struct {
	webhook.Server

	ending <-chan struct{}
}

// Register registers a webhook.
func (s *closingServer) Register(path string, hook http.Handler) {
	s.Server.Register(path, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		select {
		case <-s.ending:
			answer.Header().Set("Connection", "close")
		default:
		}
		hook.ServeHTTP(answer, request)
	}))
}

// NewCache returns a constructor of caches whose wait for their content ends with ctx. A starting manager waits for its
// caches before it looks at its own context. It would never end while the API server refuses to list a kind.
func NewCache(ctx context.Context) cache.NewCacheFunc {
	return func(config *rest.Config, options cache.Options) (cache.Cache, error) {
		created, err := cache.New(config, options)
		if err != nil {
			return nil, err
		}
		return &endingCache{Cache: created, ending: ctx}, nil
	}
}

type endingCache struct {
	cache.Cache

	ending context.Context //nolint:containedctx // The caller's context may outlive the process's.
}

// WaitForCacheSync returns true once the cache is filled, or once the process ends: a false result doesn't end the wait
// of the manager. Nothing reads the cache after that.
func (c *endingCache) WaitForCacheSync(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	return c.Cache.WaitForCacheSync(ctx) || c.ending.Err() != nil
}
