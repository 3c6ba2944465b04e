// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package testmain runs the tests of packages whose tests share an environment.
package testmain

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Run runs the tests of a package and ends the process. The function run sets up the environment of the tests, runs
// them, and tears the environment down. The exit code is that of run. If run fails, Run writes its error to the
// standard error and exits with 1.
func Run(m *testing.M, run func(context.Context, *testing.M) (code int, err error)) {
	code, err := run(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
