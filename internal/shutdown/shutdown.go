// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package shutdown lets a replica of the operator go without a request being lost: asked to end, it works on for a while, in which API servers stop
// calling its webhooks.
package shutdown

import (
	"context"
	"net/http"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// Delayed returns a context that is done when that long has passed since the end of another one.
func Delayed(ctx context.Context, delay time.Duration, timer clock.WithDelayedExecution) context.Context {
	delayed, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { timer.AfterFunc(delay, cancel) })
	return delayed
}

// Server returns a server of webhooks that, from the end of the context on, closes each connection after the next answer. API servers make no new
// connections to a replica that is about to end, but use those that they have until then, and a request that crosses the end of one is lost.
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
