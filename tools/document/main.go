// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command document writes the page about the metrics to standard output. make generate calls it.
package main

import (
	"fmt"

	"github.com/leaderworkerset/lws-operator/internal/metrics"
)

func main() { fmt.Print(metrics.Document()) }
