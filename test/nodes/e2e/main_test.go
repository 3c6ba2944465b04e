// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

var power = flag.String("power", "",
	"command that cuts the power of a node by `<command> stop <node>`, and turns it on again by "+
		"`<command> start <node>`; without it, the tests that turn nodes off don't run")

// suite is the common test bed. TestMain sets it before the first test.
var suite *bed.Bed

func TestMain(m *testing.M) {
	flag.Parse()
	testmain.Run(m, run)
}

// run installs the operator, runs the tests, and removes the operator.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if err := skipPowerTests(); err != nil {
		return 0, err
	}
	if suite, err = bed.Open(ctx); err != nil {
		return 0, err
	}
	if err := suite.CheckNotInstalled(ctx); err != nil {
		return 0, err
	}
	operatorImage, err := suite.Push(ctx, suite.Root, ".", "manager")
	if err != nil {
		return 0, err
	}
	objects, err := operatorObjects(ctx, operatorImage)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(ctx, objects)) }()
	if err := install(ctx, objects); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// skipPowerTests skips the tests that turn nodes off if there is no -power. A -skip on the command line takes
// precedence.
func skipPowerTests() error {
	skips := flag.Lookup("test.skip")
	if *power != "" || skips.Value.String() != "" {
		return nil
	}
	return skips.Value.Set("^TestPower")
}
