// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

// parallelOperators is how many operators run at a time, unless -parallel sets another number. They mostly wait.
const parallelOperators = "8"

// suite is the environment that all tests share. TestMain sets it before the first test.
var suite struct {
	root    string
	program string
	cluster *cluster.Cluster
	client  client.Client
}

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	testmain.Run(m, run)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	if err := setParallel(); err != nil {
		return 0, err
	}
	if suite.root, err = cluster.Root(); err != nil {
		return 0, err
	}
	bin, err := cluster.Build(ctx, suite.root, os.Stderr)
	if err != nil {
		return 0, err
	}
	if suite.program, err = operator.Build(ctx, suite.root); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "lws-operator-security-")
	if err != nil {
		return 0, err
	}
	suite.cluster, err = cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin,
		Nodes: 30, Racks: 30, // Groups with exclusive placement need racks without pods of other groups of the namespace.
		CRDs: []string{filepath.Join(suite.root, "config", "crd", "bases")},
	})
	if err != nil {
		return 0, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, suite.cluster.Stop(ctx), os.RemoveAll(dir)) }()
	scheme, err := controller.Scheme()
	if err != nil {
		return 0, err
	}
	if suite.client, err = client.New(suite.cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// setParallel sets how many operators run at a time, unless the command line does.
func setParallel() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", parallelOperators)
}
