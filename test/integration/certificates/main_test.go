// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

// deadline bounds each wait.
const deadline = 30 * time.Second

// suite is the environment that all tests share. TestMain sets it before the first test.
var suite struct {
	root       string
	kubectl    string
	kubeconfig string
	// manifests is the file with the manifests of config/default.
	manifests string
	config    *rest.Config
	client    client.Client
	// mutating and validating are the webhook configurations of config/default.
	mutating   *admissionregistrationv1.MutatingWebhookConfiguration
	validating *admissionregistrationv1.ValidatingWebhookConfiguration
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	testmain.Run(m, run)
}

// run runs the tests on an API server that exists only for them and has the objects of config/default.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if suite.root, err = cluster.Root(); err != nil {
		return 0, err
	}
	bin, err := cluster.Build(ctx, suite.root, os.Stderr)
	if err != nil {
		return 0, err
	}
	suite.kubectl = filepath.Join(bin, "kubectl")
	dir, err := os.MkdirTemp("", "lws-operator-certificates-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	environment := &envtest.Environment{BinaryAssetsDirectory: bin}
	defer func() { err = errors.Join(err, environment.Stop()) }()
	if suite.config, err = environment.Start(); err != nil {
		return 0, err
	}
	suite.config.QPS = -1
	suite.kubeconfig, suite.manifests = filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "manifests.yaml")
	if err := os.WriteFile(suite.kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return 0, err
	}
	source := filepath.Join(suite.root, "config", "default")
	if _, err := kubectl(ctx, "kustomize", source, "--output", suite.manifests); err != nil {
		return 0, err
	}
	if _, err := kubectl(ctx, "apply", "--filename", suite.manifests); err != nil {
		return 0, err
	}
	scheme, err := controller.Scheme()
	if err != nil {
		return 0, err
	}
	if suite.client, err = client.New(suite.config, client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	if err := waitForSets(ctx); err != nil {
		return 0, err
	}
	if suite.mutating, suite.validating, err = configurations(ctx); err != nil {
		return 0, err
	}
	suite.mutating.ResourceVersion, suite.validating.ResourceVersion = "", ""
	return m.Run(), nil
}

// waitForSets waits until the API server serves LeaderWorkerSets, which it does with a delay after the CRD's creation.
func waitForSets(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, deadline, true, func(ctx context.Context) (bool, error) {
		return suite.client.List(ctx, &leaderworkersetv1.LeaderWorkerSetList{}) == nil, nil
	})
}

// kubectl runs the kubectl of the API server's version, and returns its output.
func kubectl(ctx context.Context, args ...string) (string, error) {
	return cluster.Kubectl(ctx, suite.kubectl, suite.kubeconfig, args...)
}
