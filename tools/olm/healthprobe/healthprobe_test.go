// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package healthprobe tests the program grpc_health_probe of the version in go.mod. OLM runs it in the pods of
// catalogs.
package healthprobe

import (
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// The program's exit codes, from its README.
const (
	serving     = 0
	unreachable = 2
	notServing  = 4
)

func TestProbe(t *testing.T) {
	program := filepath.Join(t.TempDir(), "grpc_health_probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/grpc-ecosystem/grpc-health-probe")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, state)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	address := listener.Addr().String()

	check(t, program, address, serving)
	state.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	check(t, program, address, notServing)
	server.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	check(t, program, address, unreachable)
}

// check runs the probe with the flags that OLM gives it, and compares its exit code.
func check(t *testing.T, program, address string, want int) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), program, "-addr="+address, "-rpc-timeout=5s").CombinedOutput()
	got := 0
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("the probe ended with %d, want %d: %s", got, want, output)
	}
}
