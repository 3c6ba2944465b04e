// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

// The common test bed and the published releases. TestMain sets them before the first test.
var (
	suite     *bed.Bed
	published *releases
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(klog.Background())
	testmain.Run(m, run)
}

// run publishes the releases and runs the tests.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	suite, err = bed.Open(ctx,
		operatorsv1.AddToScheme, operatorsv1alpha1.AddToScheme, operatorsv2.AddToScheme, apiextensionsv1.AddToScheme)
	if err != nil {
		return 0, err
	}
	if err := suite.Client.List(ctx, &operatorsv1alpha1.CatalogSourceList{}, client.Limit(1)); err != nil {
		return 0, fmt.Errorf("is OLM in the cluster? %w", err)
	}
	if err := suite.CheckNotInstalled(ctx); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "lws-operator-releases-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if published, err = publish(ctx, suite, dir); err != nil {
		return 0, err
	}
	return m.Run(), nil
}
