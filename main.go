// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command manager runs the LeaderWorkerSet operator: its reconcilers and webhooks.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	// Credential plugins, so that the operator can be run by hand against any cluster that kubectl reaches.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/metrics"
	"github.com/leaderworkerset/lws-operator/internal/olm"
)

// version is stamped by the build.
var version = "unreleased"

// configuration is what the flags say.
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
	qps            float64
	burst          int
	logging        zap.Options
}

func main() {
	config := configuration{}
	config.bind(flag.CommandLine)
	printVersion := flag.Bool("version", false, "print the version, and end")
	flag.Parse()
	if *printVersion {
		fmt.Println(version)
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&config.logging)))
	if err := run(ctrl.SetupSignalHandler(), &config); err != nil {
		ctrl.Log.Error(err, "The operator ends")
		os.Exit(1)
	}
}

func (c *configuration) bind(flags *flag.FlagSet) {
	flags.StringVar(&c.metricsAddress, "metrics-bind-address", ":8443", `address that metrics are served on, "0" to serve none`)
	flags.BoolVar(&c.metricsSecure, "metrics-secure", true, "serve metrics by HTTPS, to authenticated and authorized clients only")
	flags.StringVar(&c.metricsCertDir, "metrics-cert-dir", "", "directory with tls.crt and tls.key for metrics; a self-signed certificate if empty")
	flags.StringVar(&c.healthAddress, "health-probe-bind-address", ":8081", "address that /healthz and /readyz are served on")
	flags.BoolVar(&c.leaderElect, "leader-elect", false, "elect a leader, so that several replicas can run of which one is active")
	flags.StringVar(&c.leaderElectNS, "leader-election-namespace", "", "namespace of the leader's lease; the pod's own if empty")
	flags.StringVar(&c.webhookHost, "webhook-host", "", "address that webhooks are served on; all if empty")
	flags.IntVar(&c.webhookPort, "webhook-port", 9443, "port that webhooks are served on")
	flags.StringVar(&c.webhookCertDir, "webhook-cert-dir", "/tmp/k8s-webhook-server/serving-certs", "directory with tls.crt and tls.key for webhooks")
	flags.Float64Var(&c.qps, "kube-api-qps", 200, "requests per second to the API server, on average")
	flags.IntVar(&c.burst, "kube-api-burst", 400, "requests to the API server in a burst")
	c.logging.BindFlags(flags)
}

// run starts the operator and returns when the context ends, or when it can't go on.
func run(ctx context.Context, config *configuration) error {
	rest, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := newManager(rest, config)
	if err != nil {
		return err
	}
	if err := controller.Setup(ctx, mgr); err != nil {
		return err
	}
	if err := olm.Setup(mgr, config.leaderElectNS); err != nil {
		return err
	}
	ctrl.Log.Info("The operator starts", "version", version)
	return mgr.Start(ctx)
}

func newManager(rest *rest.Config, config *configuration) (ctrl.Manager, error) {
	scheme, err := controller.Scheme()
	if err != nil {
		return nil, err
	}
	rest.QPS, rest.Burst = float32(config.qps), config.burst
	rest.UserAgent = "lws-operator/" + version
	return ctrl.NewManager(rest, ctrl.Options{
		Scheme:                 scheme,
		Cache:                  controller.CacheOptions(),
		Client:                 controller.ClientOptions(),
		Metrics:                config.metrics(),
		HealthProbeBindAddress: config.healthAddress,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: config.webhookHost, Port: config.webhookPort, CertDir: config.webhookCertDir,
		}),
		LeaderElection:          config.leaderElect,
		LeaderElectionID:        "lws-operator.leaderworkerset.x-k8s.io",
		LeaderElectionNamespace: config.leaderElectNS,
		// The process ends when the manager does, so another replica may take over at once.
		LeaderElectionReleaseOnCancel: true,
	})
}

func (c *configuration) metrics() metricsserver.Options {
	options := metricsserver.Options{BindAddress: c.metricsAddress, SecureServing: c.metricsSecure, CertDir: c.metricsCertDir}
	if c.metricsSecure {
		options.FilterProvider = metrics.OnlyForAllowed
	}
	return options
}
