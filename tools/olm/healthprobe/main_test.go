// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, state)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	address := listener.Addr().String()

	if err := probe(t.Context(), address); err != nil {
		t.Errorf("serving: %v", err)
	}
	state.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	if err := probe(t.Context(), address); err == nil || !strings.Contains(err.Error(), "NOT_SERVING") {
		t.Errorf("not serving: got %v", err)
	}
	server.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := probe(t.Context(), address); err == nil {
		t.Error("nobody there: got no error")
	}
}
