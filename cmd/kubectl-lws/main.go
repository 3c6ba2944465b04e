// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-lws is a plugin of kubectl: "kubectl lws" shows LeaderWorkerSets, says why their groups aren't ready,
// and steers their rolling updates.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	// Logs in by the plugins of cloud providers that a kubeconfig names.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/command"
)

// version is set when a release is built.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := command.Run(ctx, version, streams, os.Args[1:])
	stop()
	os.Exit(code)
}
