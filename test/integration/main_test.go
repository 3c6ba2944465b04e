// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	disaggregatedadmission "github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/admission"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

const (
	// webhooksLabel is a label of namespaces. Its value is the mode of the namespace.
	webhooksLabel = "integration.lws-operator.dev/webhooks"

	// poll and deadline are the interval and the limit of waits, such as for a cache that follows the API server.
	poll     = 20 * time.Millisecond
	deadline = 30 * time.Second

	// unreachable is an address on which nothing listens.
	unreachable = "https://127.0.0.1:1/"

	// operatorUser is the service account of config/default, in operatorNamespace.
	operatorNamespace = "lws-operator-system"
	operatorUser      = "system:serviceaccount:" + operatorNamespace + ":lws-operator-controller-manager"
)

// mode is a value of webhooksLabel. It determines how the API server calls webhooks for requests in the namespace.
type mode string

const (
	// webhooksOn calls the operator's webhooks as config/default configures them.
	webhooksOn mode = "on"

	// webhooksOff calls no webhooks. The schema and its rules apply alone.
	webhooksOff mode = "off"

	// webhooksDown calls the webhooks of webhooksOn at an unreachable address.
	webhooksDown mode = "down"
)

// bothModes are the modes in which the rules of the schema must hold.
var bothModes = []mode{webhooksOff, webhooksOn}

// suite is the environment that all tests share. TestMain sets it before the first test.
var suite struct {
	root       string
	kubectl    string
	kubeconfig string
	config     *rest.Config
	client     client.Client

	// webhookCache is the cache that the webhooks read. It follows the API server with a delay.
	webhookCache client.Reader
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	testmain.Run(m, run)
}

// run runs the tests on an API server that exists only for them.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if suite.root, err = cluster.Root(); err != nil {
		return 0, err
	}
	bin, err := cluster.Build(ctx, suite.root, os.Stderr)
	if err != nil {
		return 0, err
	}
	suite.kubectl = filepath.Join(bin, "kubectl")
	dir, err := os.MkdirTemp("", "lws-operator-integration-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	manifests := filepath.Join(dir, "manifests")
	if err := kustomize(ctx, manifests); err != nil {
		return 0, err
	}

	environment := &envtest.Environment{
		BinaryAssetsDirectory: bin,
		CRDDirectoryPaths:     []string{manifests},
		ErrorIfCRDPathMissing: true,
		CRDInstallOptions:     envtest.CRDInstallOptions{MaxTime: deadline},
	}
	// OpenShift enables this plugin.
	environment.ControlPlane.GetAPIServer().Configure().
		Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	defer func() { err = errors.Join(err, environment.Stop()) }()
	if suite.config, err = environment.Start(); err != nil {
		return 0, err
	}
	suite.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(suite.kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return 0, err
	}
	if err := connect(); err != nil {
		return 0, err
	}
	if err := installRBAC(ctx, manifests); err != nil {
		return 0, err
	}
	webhooks := &envtest.WebhookInstallOptions{Paths: []string{manifests}}
	defer func() { err = errors.Join(err, webhooks.Cleanup()) }()
	return runWithWebhooks(ctx, m, webhooks)
}

// runWithWebhooks runs the tests while the operator serves its webhooks.
func runWithWebhooks(ctx context.Context, m *testing.M, webhooks *envtest.WebhookInstallOptions) (code int, err error) {
	if err := installWebhooks(ctx, webhooks); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	mgr, err := newManager(webhooks)
	if err != nil {
		cancel()
		return 0, err
	}
	suite.webhookCache = mgr.GetCache()
	go func() { ended <- mgr.Start(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	if err := untilWebhooksAreCalled(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// kustomize builds config/default into a directory, with a file for each object.
func kustomize(ctx context.Context, into string) error {
	if err := os.Mkdir(into, 0o700); err != nil {
		return err
	}
	_, err := kubectl(ctx, "kustomize", filepath.Join(suite.root, "config", "default"), "--output", into)
	return err
}

// connect creates the client of all tests. The client has no cache.
func connect() error {
	scheme, err := controller.Scheme()
	if err != nil {
		return err
	}
	suite.client, err = client.New(suite.config, client.Options{Scheme: scheme})
	return err
}

// installRBAC installs the namespace, the service account and the RBAC rules of config/default.
func installRBAC(ctx context.Context, manifests string) error {
	for _, pattern := range []string{"v1_namespace_*", "v1_serviceaccount_*", "rbac.*"} {
		files, err := filepath.Glob(filepath.Join(manifests, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if _, err := kubectl(ctx, "create", "--filename", file); err != nil {
				return err
			}
		}
	}
	return nil
}

// installWebhooks installs the configurations of config/default twice: unchanged for namespaces of webhooksOn, and with
// an unreachable address for namespaces of webhooksDown.
func installWebhooks(ctx context.Context, webhooks *envtest.WebhookInstallOptions) error {
	if err := webhooks.PrepWithoutInstalling(); err != nil {
		return err
	}
	for _, on := range webhooks.MutatingWebhooks {
		down := on.DeepCopy()
		down.Name += "-down"
		for i := range on.Webhooks {
			on.Webhooks[i].NamespaceSelector = namespacesOf(webhooksOn)
			down.Webhooks[i].NamespaceSelector = namespacesOf(webhooksDown)
			down.Webhooks[i].ClientConfig.URL = ptr.To(unreachable)
		}
		if err := suite.client.Create(ctx, down); err != nil {
			return err
		}
	}
	for _, on := range webhooks.ValidatingWebhooks {
		down := on.DeepCopy()
		down.Name += "-down"
		for i := range on.Webhooks {
			on.Webhooks[i].NamespaceSelector = namespacesOf(webhooksOn)
			down.Webhooks[i].NamespaceSelector = namespacesOf(webhooksDown)
			down.Webhooks[i].ClientConfig.URL = ptr.To(unreachable)
		}
		if err := suite.client.Create(ctx, down); err != nil {
			return err
		}
	}
	return webhooks.Install(suite.config)
}

func namespacesOf(m mode) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{webhooksLabel: string(m)}}
}

// asOperator returns a configuration with the operator's permissions.
func asOperator() *rest.Config {
	config := rest.CopyConfig(suite.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: operatorUser,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace, "system:authenticated"},
	}
	return config
}

// newManager returns a manager that serves the operator's webhooks in this process, with the operator's permissions.
func newManager(webhooks *envtest.WebhookInstallOptions) (ctrl.Manager, error) {
	scheme, err := controller.Scheme()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(asOperator(), ctrl.Options{
		Scheme:  scheme,
		Cache:   controller.CacheOptions(),
		Client:  controller.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host:    webhooks.LocalServingHost,
			Port:    webhooks.LocalServingPort,
			CertDir: webhooks.LocalServingCertDir,
		}),
	})
	if err != nil {
		return nil, err
	}
	return mgr, errors.Join(
		leaderworkerset.AddIndexes(context.Background(), mgr.GetFieldIndexer()),
		admission.Setup(mgr, scheduling.NoFeatures, admission.DefaultOptions()),
		disaggregatedadmission.Setup(mgr, admission.DefaultOptions()))
}

// untilWebhooksAreCalled waits until the API server calls the webhooks of all configurations and the operator answers.
func untilWebhooksAreCalled(ctx context.Context) error {
	probes := map[mode]*unstructured.Unstructured{}
	for _, m := range []mode{webhooksOn, webhooksDown} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: "webhooks-" + string(m), Labels: map[string]string{webhooksLabel: string(m)},
		}}
		if err := suite.client.Create(ctx, namespace); err != nil {
			return err
		}
		var err error
		probes[m], err = manifest(namespace.Name, "probe", `{leaderWorkerTemplate: {restartPolicy: Default}}`)
		if err != nil {
			return err
		}
	}
	invalid, err := manifest(probes[webhooksOn].GetNamespace(), "unfit",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: unfit}]}}}}`)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, poll, deadline, true, func(ctx context.Context) (bool, error) {
		mutated := modeOf(ctx, probes[webhooksOn]) == webhooksOn && modeOf(ctx, probes[webhooksDown]) == webhooksDown
		return mutated && apierrors.IsInvalid(suite.client.Create(ctx, invalid.DeepCopy(), dryRun)), nil
	})
	if err != nil {
		return fmt.Errorf("the API server doesn't call the webhooks: %w", err)
	}
	return nil
}

// kubectl runs the kubectl of the API server's version, and returns its output.
func kubectl(ctx context.Context, args ...string) (string, error) {
	return cluster.Kubectl(ctx, suite.kubectl, suite.kubeconfig, args...)
}
