// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

const (
	// kubeconfigVariable names the environment variable with the kubeconfig of a cluster to use instead of a local one.
	kubeconfigVariable = "E2E_KUBECONFIG"

	// localTests matches the tests that need the local cluster.
	localTests = "^TestLocal"

	// parallelTests is how many tests run at a time, unless -parallel sets another number. Tests mostly wait.
	parallelTests = "8"
)

// suite is the environment that all tests share. TestMain sets it before the first test.
var suite environment

// environment is the cluster in which the tests run.
type environment struct {
	root   string
	client client.WithWatch

	// cluster and operator are nil if the cluster isn't local.
	cluster  *cluster.Cluster
	operator *operator.Operator
}

func TestMain(m *testing.M) {
	flag.Parse()
	testmain.Run(m, run)
}

// run runs the tests in the cluster of E2E_KUBECONFIG, or in a local one.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if err := setFlagDefault("test.parallel", parallelTests); err != nil {
		return 0, err
	}
	if suite.root, err = cluster.Root(); err != nil {
		return 0, err
	}
	if kubeconfig := os.Getenv(kubeconfigVariable); kubeconfig != "" {
		return runIn(kubeconfig, m)
	}
	return runLocally(ctx, m)
}

// runIn runs the tests that can run in any cluster.
func runIn(kubeconfig string, m *testing.M) (int, error) {
	if err := setFlagDefault("test.skip", localTests); err != nil {
		return 0, err
	}
	_, _ = fmt.Fprintf(os.Stderr, "%s is set: tests that match %s need the local cluster and are left out\n",
		kubeconfigVariable, localTests)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 0, err
	}
	if err := suite.connect(config); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// runLocally runs all tests in a cluster that exists only for them. It fails if the operator's role lacked a
// permission.
func runLocally(ctx context.Context, m *testing.M) (code int, err error) {
	if err := suite.start(ctx, settings{}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, suite.stop(ctx)) }()
	return m.Run(), nothingForbidden()
}

// settings are those of a local cluster and of its operator.
type settings struct {
	// featureGates are those of the Kubernetes components, and runtimeConfig the API versions that are turned on.
	featureGates, runtimeConfig map[string]bool

	// provider schedules groups as gangs; empty for none.
	provider scheduling.Provider
}

// start starts a local cluster with the operator beside it.
func (e *environment) start(ctx context.Context, with settings) (err error) {
	bin, err := cluster.Build(ctx, e.root, os.Stderr)
	if err != nil {
		return err
	}
	manager, err := operator.Build(ctx, e.root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lws-operator-e2e-")
	if err != nil {
		return err
	}
	e.cluster, err = cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin,
		Nodes: 20, Racks: 10, Zones: 2,
		NodeCapacity: corev1.ResourceList{
			leaderworkersetv1.TPUResourceName: resource.MustParse("1000"), "nvidia.com/gpu": resource.MustParse("1000"),
		},
		CRDs:         []string{filepath.Join(e.root, "config", "crd", "bases")},
		FeatureGates: with.featureGates, RuntimeConfig: with.runtimeConfig,
		Audit: true,
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop(ctx))
		}
	}()
	if err := e.connect(e.cluster.RESTConfig()); err != nil {
		return err
	}
	ours := operator.Ours(e.root, manager)
	if with.provider != "" {
		ours = ours.Configured("scheduling: {provider: " + string(with.provider) + "}\n")
		ours.Manifests = append(ours.Manifests, podGroupManifests(e.root)...)
	}
	e.operator, err = operator.InstallController(ctx, e.cluster, e.root, ours)
	return err
}

// stop stops the cluster, with the operator, and removes its files.
func (e *environment) stop(ctx context.Context) error {
	return errors.Join(e.cluster.Stop(ctx), os.RemoveAll(e.cluster.Dir()))
}

// connect creates the client that all tests use.
func (e *environment) connect(config *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme),
		disaggregatedsetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	config.QPS = -1
	var err error
	e.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	return err
}

// setFlagDefault sets a flag unless the command line sets it.
func setFlagDefault(name, value string) error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return nil
	}
	return flag.Set(name, value)
}
