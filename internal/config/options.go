// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
	"github.com/leaderworkerset/lws-operator/internal/certificates"
	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/internal/metrics"
)

// leaseName is the name of the lease that the leader holds.
const leaseName = "lws-operator.leaderworkerset.x-k8s.io"

// Client returns a copy of the client's configuration with the limits of this one.
func Client(c *v1alpha1.OperatorConfiguration, config *rest.Config) *rest.Config {
	limited := rest.CopyConfig(config)
	limited.QPS, limited.Burst = c.ClientConnection.QPS, int(c.ClientConnection.Burst)
	return limited
}

// Manager returns the options of a manager, all but its scheme, client and webhook server.
func Manager(c *v1alpha1.OperatorConfiguration) (ctrl.Options, error) {
	restricted, err := tlsOption(&c.TLS)
	if err != nil {
		return ctrl.Options{}, err
	}
	served := metricsserver.Options{
		BindAddress: c.Metrics.BindAddress, SecureServing: c.Metrics.Secure, CertDir: c.Metrics.CertificateDirectory,
		TLSOpts: []func(*tls.Config){restricted},
	}
	if c.Metrics.Secure {
		served.FilterProvider = metrics.OnlyForAllowed
	}
	return ctrl.Options{
		Cache:                   cacheOptions(c.Namespaces),
		Metrics:                 served,
		HealthProbeBindAddress:  c.Health.BindAddress,
		PprofBindAddress:        c.Profiling.BindAddress,
		LeaderElection:          c.LeaderElection.LeaderElect,
		LeaderElectionID:        leaseName,
		LeaderElectionNamespace: c.LeaderElection.Namespace,
		LeaseDuration:           ptr.To(c.LeaderElection.LeaseDuration.Duration),
		RenewDeadline:           ptr.To(c.LeaderElection.RenewDeadline.Duration),
		RetryPeriod:             ptr.To(c.LeaderElection.RetryPeriod.Duration),
		// The process ends when the manager does, so another replica may take over at once.
		LeaderElectionReleaseOnCancel: true,
	}, nil
}

// Webhooks returns the options of the webhook server.
func Webhooks(c *v1alpha1.OperatorConfiguration) (webhook.Options, error) {
	restricted, err := tlsOption(&c.TLS)
	options := webhook.Options{
		Host: c.Webhook.Host, Port: int(c.Webhook.Port), TLSOpts: []func(*tls.Config){restricted},
	}
	if files := c.Webhook.Certificate.Files; files != nil {
		options.CertDir = files.Directory
	}
	return options, err
}

// Controllers returns the options of the reconcilers and webhooks.
func Controllers(c *v1alpha1.OperatorConfiguration) controller.Options {
	options := controller.DefaultOptions()
	options.LeaderWorkerSet.ConcurrentSets = int(c.Controllers.LeaderWorkerSet.Concurrency)
	options.LeaderWorkerSet.ConcurrentGroups = int(c.Controllers.Group.Concurrency)
	restarts := &options.LeaderWorkerSet.Plan.Restarts
	restarts.BaseDelay = c.Controllers.Restarts.BaseDelay.Duration
	restarts.MaxDelay = c.Controllers.Restarts.MaxDelay.Duration
	restarts.HealthyAfter = c.Controllers.Restarts.HealthyAfter.Duration
	options.LeaderWorkerSet.Scheduling = leaderworkerset.SchedulingOptions{
		Provider: scheduling.Provider(c.Scheduling.Provider), Namespaces: c.Namespaces,
	}
	return options
}

// Rotator returns what makes the webhooks' certificate, or nil if the certificate is read from files.
func Rotator(c *v1alpha1.OperatorConfiguration) *certificates.Rotator {
	authority := c.Webhook.Certificate.Authority
	if authority == nil {
		return nil
	}
	secret := authority.Secret
	var hosts []string
	if service := c.Metrics.ServiceName; service != "" {
		hosts = []string{service + "." + secret.Namespace + ".svc"}
	}
	return certificates.New(certificates.Options{
		Hosts:                          hosts,
		ConfigMap:                      c.Metrics.AuthorityConfigMap,
		Secret:                         types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name},
		MutatingWebhookConfiguration:   authority.MutatingWebhookConfiguration,
		ValidatingWebhookConfiguration: authority.ValidatingWebhookConfiguration,
		Clock:                          clock.RealClock{},
	})
}

// Metrics returns the options of metrics, all but those that depend on the manager.
func Metrics(c *v1alpha1.OperatorConfiguration, rotator *certificates.Rotator) (metrics.Options, error) {
	gate, err := newGate(features())
	if err == nil {
		err = gate.SetFromMap(c.FeatureGates)
	}
	ends := map[string]func() (time.Time, bool){}
	if rotator != nil {
		ends[metrics.UseWebhook], ends[metrics.UseMetrics] = rotator.End, rotator.End
	}
	if files := c.Webhook.Certificate.Files; files != nil {
		ends[metrics.UseWebhook] = certificates.EndOfFile(files.Directory)
	}
	switch directory := c.Metrics.CertificateDirectory; {
	case !c.Metrics.Secure:
		delete(ends, metrics.UseMetrics)
	case directory != "":
		ends[metrics.UseMetrics] = certificates.EndOfFile(directory)
	}
	return metrics.Options{PerSetHistograms: c.Metrics.PerSetHistograms, Features: gate, Certificates: ends}, err
}

// cacheOptions returns a cache that has objects of the namespaces only, or of all namespaces if there are none.
func cacheOptions(namespaces []string) cache.Options {
	options := controller.CacheOptions()
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return options
}

// tlsOption returns a function that restricts the connections to a server.
func tlsOption(c *v1alpha1.TLS) (func(*tls.Config), error) {
	version, err := cliflag.TLSVersion(c.MinVersion)
	if err != nil {
		return nil, fmt.Errorf("tls.minVersion: %w", err)
	}
	suites, err := cliflag.TLSCipherSuites(c.CipherSuites)
	if err != nil {
		return nil, fmt.Errorf("tls.cipherSuites: %w", err)
	}
	return func(config *tls.Config) { config.MinVersion, config.CipherSuites = version, suites }, nil
}
