// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command healthprobe asks a gRPC server by the health checking protocol whether it serves. OLM runs it in the pods of catalogs, by the name
// grpc_health_probe and with these flags:
//
//	grpc_health_probe -addr=:50051 -rpc-timeout=5s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	address := flag.String("addr", ":50051", "address of the server")
	timeout := flag.Duration("rpc-timeout", time.Second, "how long to wait for an answer")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	err := probe(ctx, *address)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", *address, err)
		os.Exit(1)
	}
}

// probe returns an error unless the server says that it serves.
func probe(ctx context.Context, address string) (err error) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	answer, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("it says %s", answer.Status)
	}
	return nil
}
