// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package shutdown

import (
	"context"
	"net/http"
	"net/http/httptest"
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

func TestServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	webhooks := Server(ctx, webhook.NewServer(webhook.Options{}))
	webhooks.Register("/hook", http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(http.StatusAccepted) }))
	server := httptest.NewServer(webhooks.WebhookMux())
	defer server.Close()
	for _, ending := range []bool{false, true} {
		if ending {
			cancel()
		}
		answer, err := http.Post(server.URL+"/hook", "", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != http.StatusAccepted || answer.Close != ending {
			t.Errorf("ending %t: got status %d, close %t", ending, answer.StatusCode, answer.Close)
		}
	}
}
