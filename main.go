// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command manager runs the LeaderWorkerSet operator: its reconcilers and webhooks.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	// Credential plugins, so that the operator can be run by hand against any cluster that kubectl reaches.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/leaderworkerset/lws-operator/internal/certificates"
	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/metrics"
	"github.com/leaderworkerset/lws-operator/internal/olm"
	"github.com/leaderworkerset/lws-operator/internal/shutdown"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
)

// version is stamped by the build.
var version = "unreleased"

// configuration holds the values of the flags.
type configuration struct {
	metricsAddress string
	metricsSecure  bool
	metricsCertDir string
	healthAddress  string
	leaderElect    bool
	leaderElectNS  string
	webhookHost    string
	webhookPort    int
	webhookCertDir string
	authority      string
	mutating       string
	validating     string
	qps            float64
	burst          int
	shutdownDelay  time.Duration
	logging        zap.Options
}

func main() {
	config := configuration{}
	config.bind(flag.CommandLine)
	printVersion := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *printVersion {
		fmt.Println(version)
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&config.logging)))
	if err := run(ctrl.SetupSignalHandler(), &config); err != nil {
		ctrl.Log.Error(err, "The operator stops")
		os.Exit(1)
	}
}

func (c *configuration) bind(flags *flag.FlagSet) {
	flags.StringVar(&c.metricsAddress, "metrics-bind-address", ":8443",
		`address that metrics are served on; "0" serves none`)
	flags.BoolVar(&c.metricsSecure, "metrics-secure", true,
		"serve metrics over HTTPS, only to authenticated and authorized clients")
	flags.StringVar(&c.metricsCertDir, "metrics-cert-dir", "",
		"directory with tls.crt and tls.key for metrics; if empty, the operator signs a certificate itself")
	flags.StringVar(&c.healthAddress, "health-probe-bind-address", ":8081",
		"address that /healthz and /readyz are served on")
	flags.BoolVar(&c.leaderElect, "leader-elect", false,
		"elect a leader among several replicas; only the leader reconciles")
	flags.StringVar(&c.leaderElectNS, "leader-election-namespace", "",
		"the operator's namespace, which has the leader election lease and, if OLM v0 installed the operator, "+
			"its OperatorCondition and its certificate's Secret; if empty, the namespace of the pod")
	flags.StringVar(&c.webhookHost, "webhook-host", "", "address that webhooks are served on; if empty, all addresses")
	flags.IntVar(&c.webhookPort, "webhook-port", 9443, "port that webhooks are served on")
	flags.StringVar(&c.webhookCertDir, "webhook-cert-dir", "/tmp/k8s-webhook-server/serving-certs",
		"directory with tls.crt and tls.key for webhooks")
	flags.StringVar(&c.authority, "webhook-authority-secret", "",
		"<namespace>/<name> of the Secret with the authority for the webhooks' certificate; the operator makes and "+
			"renews both; if empty, the certificate is read from -webhook-cert-dir")
	flags.StringVar(&c.mutating, "mutating-webhook-configuration", "",
		"name of the MutatingWebhookConfiguration whose caBundles get the authority of -webhook-authority-secret")
	flags.StringVar(&c.validating, "validating-webhook-configuration", "",
		"name of the ValidatingWebhookConfiguration whose caBundles get the authority of -webhook-authority-secret")
	flags.Float64Var(&c.qps, "kube-api-qps", 200, "requests per second to the API server, on average")
	flags.IntVar(&c.burst, "kube-api-burst", 400, "requests to the API server in a burst")
	flags.DurationVar(&c.shutdownDelay, "shutdown-delay", 0,
		"how long the operator keeps working after SIGTERM, while API servers stop calling its webhooks")
	c.logging.BindFlags(flags)
}

// run starts the operator. run returns when the shutdown delay after the end of the context is over, or on an error.
func run(ctx context.Context, config *configuration) error {
	rest, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	rotator, err := config.rotator()
	if err != nil {
		return err
	}
	mgr, err := newManager(ctx, rest, config, rotator)
	if err != nil {
		return err
	}
	ctx = shutdown.Delayed(ctx, config.shutdownDelay, clock.RealClock{})
	if err := controller.Setup(ctx, mgr, controller.DefaultOptions()); err != nil {
		return err
	}
	if err := olm.Setup(mgr, config.leaderElectNS); err != nil {
		return err
	}
	if rotator != nil {
		if err := rotator.Setup(mgr); err != nil {
			return err
		}
	}
	ctrl.Log.Info("The operator starts", "version", version)
	return mgr.Start(ctx)
}

// newManager returns the manager. Its webhooks present the rotator's certificate, unless the rotator is nil. The end of
// the context tells the webhook server that the process is about to end.
func newManager(
	ctx context.Context, rest *rest.Config, config *configuration, rotator *certificates.Rotator,
) (ctrl.Manager, error) {
	scheme, err := controller.Scheme()
	if err != nil {
		return nil, err
	}
	rest.QPS, rest.Burst = float32(config.qps), config.burst
	rest.UserAgent = "lws-operator/" + version
	cache := controller.CacheOptions()
	webhooks := webhook.Options{
		Host: config.webhookHost, Port: config.webhookPort, CertDir: config.webhookCertDir,
	}
	if rotator != nil {
		rotator.LimitCache(&cache)
		webhooks.TLSOpts = append(webhooks.TLSOpts, rotator.ServeBy)
	}
	return takeover.NewManager(rest, ctrl.Options{
		Scheme:                  scheme,
		Cache:                   cache,
		Client:                  controller.ClientOptions(),
		Metrics:                 config.metrics(),
		HealthProbeBindAddress:  config.healthAddress,
		WebhookServer:           shutdown.Server(ctx, webhook.NewServer(webhooks)),
		LeaderElection:          config.leaderElect,
		LeaderElectionID:        "lws-operator.leaderworkerset.x-k8s.io",
		LeaderElectionNamespace: config.leaderElectNS,
		// The process ends when the manager does, so another replica may take over at once.
		LeaderElectionReleaseOnCancel: true,
	}, takeover.DefaultNamespaces())
}

// rotator returns what makes the webhooks' certificate, or nil if the certificate is read from a directory.
func (c *configuration) rotator() (*certificates.Rotator, error) {
	if cmp.Or(c.authority, c.mutating, c.validating) == "" {
		return nil, nil
	}
	namespace, name, _ := strings.Cut(c.authority, "/")
	if namespace == "" || name == "" || strings.Contains(name, "/") || c.mutating == "" || c.validating == "" {
		return nil, errors.New("making a certificate requires all of -webhook-authority-secret=<namespace>/<name>, " +
			"-mutating-webhook-configuration and -validating-webhook-configuration")
	}
	return certificates.New(certificates.Options{
		Secret:                         types.NamespacedName{Namespace: namespace, Name: name},
		MutatingWebhookConfiguration:   c.mutating,
		ValidatingWebhookConfiguration: c.validating,
		Clock:                          clock.RealClock{},
	}), nil
}

func (c *configuration) metrics() metricsserver.Options {
	options := metricsserver.Options{
		BindAddress: c.metricsAddress, SecureServing: c.metricsSecure, CertDir: c.metricsCertDir,
	}
	if c.metricsSecure {
		options.FilterProvider = metrics.OnlyForAllowed
	}
	return options
}
