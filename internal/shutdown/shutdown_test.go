// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package shutdown

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

func TestDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		timer := clocktesting.NewFakeClock(time.Time{})
		delayed := Delayed(ctx, 5*time.Second, timer)
		cancel()
		synctest.Wait()
		timer.Step(5*time.Second - 1)
		synctest.Wait()
		if delayed.Err() != nil {
			t.Error("the delayed context ended too early")
		}
		timer.Step(1)
		synctest.Wait()
		if delayed.Err() == nil {
			t.Error("the delayed context hasn't ended after the delay")
		}
	})
}

// TestServer calls a webhook several times and cancels the context in between. The first call after that is answered on
// the open connection, which then closes. The next call opens a new connection, and so does each later one.
func TestServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	webhooks := Server(ctx, webhook.NewServer(webhook.Options{}))
	webhooks.Register("/hook", http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		answer.WriteHeader(http.StatusAccepted)
	}))
	server := httptest.NewUnstartedServer(webhooks.WebhookMux())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	const ending = 2
	for i, want := range []bool{false, true, true, false, false} {
		if i == ending {
			cancel()
		}
		if got := callHook(t, server); got != want {
			t.Errorf("call %d, with the context canceled before call %d: connection reused: %t; want %t", i, ending, got, want)
		}
	}
}

// callHook calls the webhook over HTTP/2, as API servers do, and reports whether an already open connection got the
// answer.
func callHook(t *testing.T, server *httptest.Server) (reused bool) {
	t.Helper()
	// If the old connection refuses the call, the client opens a new one. The last connection counts.
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }}
	ctx := httptrace.WithClientTrace(t.Context(), trace)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/hook", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	if answer.StatusCode != http.StatusAccepted || answer.ProtoMajor != 2 {
		t.Errorf("got status %d by %s", answer.StatusCode, answer.Proto)
	}
	return reused
}
