// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command manager runs the LeaderWorkerSet operator: its reconcilers and webhooks.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	// Credential plugins, so that the operator can be run by hand against any cluster that kubectl reaches.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/certificates"
	"github.com/leaderworkerset/lws-operator/internal/config"
	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/metrics"
	"github.com/leaderworkerset/lws-operator/internal/olm"
	"github.com/leaderworkerset/lws-operator/internal/served"
	"github.com/leaderworkerset/lws-operator/internal/shutdown"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
)

// version is stamped by the build.
var version = "unreleased"

func main() {
	settings, err := config.Load(os.Args[1:], olm.Installed(), os.ReadFile, os.Stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil:
		// As plain text, since the error may have several lines. The log is JSON.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case settings.Version:
		fmt.Println(version)
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&settings.Logging)))
	if err := run(ctrl.SetupSignalHandler(), settings); err != nil {
		ctrl.Log.Error(err, "The operator stops")
		os.Exit(1)
	}
}

// run starts the operator. run returns when the shutdown delay after the end of the context is over, or on an error.
func run(ctx context.Context, settings *config.Settings) error {
	ctrl.Log.Info("The operator starts", "version", version, "configuration", settings.Source)
	ctrl.Log.V(1).Info("The effective configuration", "configuration", settings.OperatorConfiguration)
	connection, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	connection = config.Client(&settings.OperatorConfiguration, connection)
	connection.UserAgent = "lws-operator/" + version
	sets := leaderworkersetv1.GroupVersion.WithResource("leaderworkersets")
	if err := served.Wait(ctx, connection, sets, settings.Health.BindAddress); err != nil || ctx.Err() != nil {
		return err
	}
	rotator := config.Rotator(&settings.OperatorConfiguration)
	delayed := shutdown.Delayed(ctx, settings.Shutdown.Delay.Duration, clock.RealClock{})
	mgr, err := newManager(ctx, delayed, connection, settings, rotator)
	if err != nil {
		return err
	}
	ctx = delayed
	counted, err := newMetrics(mgr, settings, rotator)
	if err != nil {
		return err
	}
	options := config.Controllers(&settings.OperatorConfiguration)
	options.LeaderWorkerSet.Meter = counted
	options.LeaderWorkerSet.Admission.Meter = counted
	options.DisaggregatedSet.Meter = counted.DisaggregatedSets()
	if err := controller.Setup(ctx, mgr, options); err != nil {
		return err
	}
	if err := olm.Setup(mgr, settings.LeaderElection.Namespace, counted.UpgradeHeld); err != nil {
		return err
	}
	if rotator != nil {
		if err := rotator.Setup(mgr); err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

// newMetrics returns the operator's metrics, which the manager serves.
func newMetrics(
	mgr ctrl.Manager, settings *config.Settings, rotator *certificates.Rotator,
) (*metrics.Metrics, error) {
	options, err := config.Metrics(&settings.OperatorConfiguration, rotator)
	if err != nil {
		return nil, err
	}
	options.Version, options.Sets, options.Elected = version, mgr.GetCache(), mgr.Elected()
	counted := metrics.New(options)
	return counted, counted.Register(ctrlmetrics.Registry)
}

// newManager returns the manager. If there is a rotator, webhooks and metrics present its certificate. The end of ctx
// tells the webhook server that the process is about to end. The end of delayed ends the wait for the caches.
func newManager(
	ctx, delayed context.Context, connection *rest.Config, settings *config.Settings, rotator *certificates.Rotator,
) (ctrl.Manager, error) {
	options, err := config.Manager(&settings.OperatorConfiguration)
	if err != nil {
		return nil, err
	}
	webhooks, err := config.Webhooks(&settings.OperatorConfiguration)
	if err != nil {
		return nil, err
	}
	if rotator != nil {
		rotator.LimitCache(&options.Cache)
		webhooks.TLSOpts = append(webhooks.TLSOpts, rotator.ServeBy)
		if settings.Metrics.CertificateDirectory == "" {
			options.Metrics.TLSOpts = append(options.Metrics.TLSOpts, rotator.ServeBy)
		}
	}
	if options.Scheme, err = controller.Scheme(); err != nil {
		return nil, err
	}
	options.Client = controller.ClientOptions()
	options.NewCache = shutdown.NewCache(delayed)
	options.WebhookServer = shutdown.Server(ctx, webhook.NewServer(webhooks))
	return takeover.NewManager(connection, options, settings.TakeOverFrom)
}
