// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package testmain is the frame of a TestMain whose tests share something that has to be set up, and may fail to.
package testmain

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Run has run set up what the tests of a package share, run them, and take it down again, and ends the process: with the code that run
// returns or, if it fails, with 1 and its error on the standard error.
func Run(m *testing.M, run func(context.Context, *testing.M) (code int, err error)) {
	code, err := run(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
