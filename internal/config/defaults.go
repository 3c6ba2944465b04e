// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
)

const (
	// defaultFile is the path of the configuration file. The Deployment mounts the ConfigMap lws-operator-config there.
	defaultFile = "/etc/lws-operator/config.yaml"

	// defaultCertificateDirectory is where OLM and cert-manager mount the webhooks' certificate.
	defaultCertificateDirectory = "/tmp/k8s-webhook-server/serving-certs"

	// notServed is the address that turns a server off.
	notServed = "0"

	// The values of tls.minVersion and scheduling.provider.
	tls12, tls13 = "VersionTLS12", "VersionTLS13"
	noProvider   = string(scheduling.None)
	kubernetes   = string(scheduling.Kubernetes)
)

// Default returns the configuration without file and flags. The tunables of the reconcilers are theirs. The source of
// the webhooks' certificate is left open, because a file may choose another one: see setCertificateDefaults.
func Default() v1alpha1.OperatorConfiguration {
	tunables := controller.DefaultOptions().LeaderWorkerSet
	restarts := tunables.Plan.Restarts
	return v1alpha1.OperatorConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		Namespaces: []string{},
		Controllers: v1alpha1.Controllers{
			LeaderWorkerSet: v1alpha1.LeaderWorkerSetController{Concurrency: concurrency(tunables.ConcurrentSets)},
			Group:           v1alpha1.GroupController{Concurrency: concurrency(tunables.ConcurrentGroups)},
			Restarts: v1alpha1.Restarts{
				BaseDelay:    duration(restarts.BaseDelay),
				MaxDelay:     duration(restarts.MaxDelay),
				HealthyAfter: duration(restarts.HealthyAfter),
			},
		},
		ClientConnection: v1alpha1.ClientConnection{QPS: 200, Burst: 400},
		LeaderElection: v1alpha1.LeaderElection{
			LeaderElect:   true,
			LeaseDuration: duration(15 * time.Second),
			RenewDeadline: duration(10 * time.Second),
			RetryPeriod:   duration(2 * time.Second),
		},
		TakeOverFrom: takeover.DefaultNamespaces(),
		Webhook:      v1alpha1.Webhook{Port: 9443},
		Metrics:      v1alpha1.Metrics{BindAddress: ":8443", Secure: true, PerSetHistograms: true},
		Health:       v1alpha1.Health{BindAddress: ":8081"},
		TLS:          v1alpha1.TLS{MinVersion: tls12, CipherSuites: []string{}},
		Profiling:    v1alpha1.Profiling{BindAddress: notServed},
		Shutdown:     v1alpha1.Shutdown{Delay: duration(10 * time.Second)},
		Scheduling:   v1alpha1.Scheduling{Provider: noProvider},
		FeatureGates: map[string]bool{},
	}
}

// concurrency returns a number of passes in the type of the file.
func concurrency(count int) int32 { return int32(min(count, maxConcurrency)) } //nolint:gosec // It is small.

func duration(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }

// setCertificateDefaults makes files the source of the webhooks' certificate if none is chosen.
func setCertificateDefaults(certificate *v1alpha1.Certificate) {
	if certificate.Files == nil && certificate.Authority == nil {
		certificate.Files = &v1alpha1.CertificateFiles{}
	}
	if certificate.Files != nil && certificate.Files.Directory == "" {
		certificate.Files.Directory = defaultCertificateDirectory
	}
}
