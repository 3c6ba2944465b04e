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
			t.Error("done too early")
		}
		timer.Step(1)
		synctest.Wait()
		if delayed.Err() == nil {
			t.Error("not done")
		}
	})
}

// TestServer makes calls one after the other. The first after the end has begun is answered on the connection that there is, which takes no more.
func TestServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	webhooks := Server(ctx, webhook.NewServer(webhook.Options{}))
	webhooks.Register("/hook", http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(http.StatusAccepted) }))
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
			t.Errorf("call %d, where the end begins before call %d: on the connection of the one before: %t; want %t", i, ending, got, want)
		}
	}
}

// callHook calls the webhook by HTTP/2, as API servers do, and says whether the connection that it was answered on had been there before.
func callHook(t *testing.T, server *httptest.Server) (reused bool) {
	t.Helper()
	// A call that the old connection doesn't take any more gets a second one: the last counts.
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, server.URL+"/hook", http.NoBody)
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
