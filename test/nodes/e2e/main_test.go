// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

var (
	power = flag.String("power", "",
		"command that cuts the power of a node by `<command> stop <node>`, and turns it on again by "+
			"`<command> start <node>`; without it, the tests that turn nodes off don't run")
	kubectl = flag.String("kubectl", "",
		"path of a kubectl of the cluster's version; without it, the test that drains a node doesn't run")
)

// suite is the common test bed. TestMain sets it before the first test.
var suite *bed.Bed

func TestMain(m *testing.M) {
	flag.Parse()
	testmain.Run(m, run)
}

// run installs the operator, runs the tests, and removes the operator.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if err := skipTests(); err != nil {
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

// skipTests skips the tests whose command is missing: those that turn nodes off without -power, and the drain without
// -kubectl. A -skip on the command line takes precedence.
func skipTests() error {
	skips := flag.Lookup("test.skip")
	if skips.Value.String() != "" {
		return nil
	}
	var skipped []string
	if *power == "" {
		skipped = append(skipped, "^TestPower")
	}
	if *kubectl == "" {
		skipped = append(skipped, "^TestDrain")
	}
	return skips.Value.Set(strings.Join(skipped, "|"))
}
