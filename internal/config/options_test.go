// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/featuregate"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// everything is a file in which no field has its default.
const everything = head + `
namespaces: [team-a, team-b]
scheduling: {provider: Kubernetes}
controllers:
  leaderWorkerSet: {concurrency: 6}
  group: {concurrency: 30}
  restarts: {baseDelay: 1s, maxDelay: 2s, healthyAfter: 3s}
clientConnection: {qps: 0.5, burst: 2}
leaderElection: {leaderElect: false, namespace: here, leaseDuration: 30s, renewDeadline: 20s, retryPeriod: 4s}
takeOverFrom: [there]
webhook: {host: 127.0.0.1, port: 1, certificate: {files: {directory: /webhooks}}}
metrics: {bindAddress: ":2", secure: false, certificateDirectory: /metrics}
health: {bindAddress: ":3"}
tls: {cipherSuites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]}
profiling: {bindAddress: "127.0.0.1:4"}
shutdown: {delay: 5s}
`

func TestManager(t *testing.T) {
	c := mustLoad(t, everything)
	options, err := Manager(&c)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "health", ":3", options.HealthProbeBindAddress)
	check(t, "profiles", "127.0.0.1:4", options.PprofBindAddress)
	check(t, "leader election", false, options.LeaderElection)
	check(t, "namespace", "here", options.LeaderElectionNamespace)
	check(t, "lease", []time.Duration{30 * time.Second, 20 * time.Second, 4 * time.Second},
		[]time.Duration{*options.LeaseDuration, *options.RenewDeadline, *options.RetryPeriod})
	check(t, "namespaces", 2, len(options.Cache.DefaultNamespaces))
	check(t, "metrics", []any{":2", false, "/metrics", true}, []any{options.Metrics.BindAddress,
		options.Metrics.SecureServing, options.Metrics.CertDir, options.Metrics.FilterProvider == nil})

	c = Default()
	if options, err = Manager(&c); err != nil {
		t.Fatal(err)
	}
	if options.Cache.DefaultNamespaces != nil || options.Metrics.FilterProvider == nil || !options.Metrics.SecureServing {
		t.Errorf("the defaults restrict the cache, or serve metrics to everybody: %+v", options)
	}
}

// TestTLS checks that webhooks and metrics are served under the same restrictions.
func TestTLS(t *testing.T) {
	suite := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	for _, test := range []struct {
		file    string
		version uint16
		suites  []uint16
	}{
		{file: everything, version: tls.VersionTLS12, suites: suite},
		{file: head, version: tls.VersionTLS12},
		{file: head + "tls: {minVersion: VersionTLS13}", version: tls.VersionTLS13},
	} {
		c := mustLoad(t, test.file)
		managed, err := Manager(&c)
		if err != nil {
			t.Fatal(err)
		}
		webhooks, err := Webhooks(&c)
		if err != nil {
			t.Fatal(err)
		}
		for _, options := range [][]func(*tls.Config){managed.Metrics.TLSOpts, webhooks.TLSOpts} {
			config := &tls.Config{}
			for _, option := range options {
				option(config)
			}
			check(t, "version", test.version, config.MinVersion)
			check(t, "suites", test.suites, config.CipherSuites)
		}
	}
}

func TestWebhooks(t *testing.T) {
	c := mustLoad(t, everything)
	options, err := Webhooks(&c)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "server", []any{"127.0.0.1", 1, "/webhooks"}, []any{options.Host, options.Port, options.CertDir})
	if Rotator(&c) != nil {
		t.Error("the operator makes a certificate that is in files")
	}
	c = mustLoad(t, head, "--webhook-authority-secret=a/b", "--mutating-webhook-configuration=c",
		"--validating-webhook-configuration=d")
	if Rotator(&c) == nil {
		t.Error("the operator doesn't make a certificate")
	}
}

func TestControllers(t *testing.T) {
	want := controller.DefaultOptions()
	want.LeaderWorkerSet.Scheduling.Provider, want.LeaderWorkerSet.Scheduling.Namespaces = scheduling.None, []string{}
	c := Default()
	if diff := cmp.Diff(want, Controllers(&c)); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	want.LeaderWorkerSet.ConcurrentSets, want.LeaderWorkerSet.ConcurrentGroups = 6, 30
	want.LeaderWorkerSet.Scheduling.Namespaces = []string{"team-a", "team-b"}
	want.LeaderWorkerSet.Scheduling.Provider = scheduling.Kubernetes
	restarts := &want.LeaderWorkerSet.Plan.Restarts
	restarts.BaseDelay, restarts.MaxDelay, restarts.HealthyAfter = time.Second, 2*time.Second, 3*time.Second
	c = mustLoad(t, everything)
	if diff := cmp.Diff(want, Controllers(&c)); diff != "" {
		t.Errorf("everything (-want +got):\n%s", diff)
	}
}

func TestClient(t *testing.T) {
	c := mustLoad(t, everything)
	before := &rest.Config{Host: "server"}
	after := Client(&c, before)
	check(t, "limits", []any{float32(0.5), 2, "server"}, []any{after.QPS, after.Burst, after.Host})
	check(t, "limits before", float32(0), before.QPS)
}

// TestGates checks gates of features that the operator doesn't have.
func TestGates(t *testing.T) {
	known := map[featuregate.Feature]featuregate.FeatureSpec{
		"Early": {PreRelease: featuregate.Alpha},
		"Done":  {Default: true, LockToDefault: true, PreRelease: featuregate.GA},
	}
	path := field.NewPath("gates")
	right := map[string]bool{"Early": true, "Done": true, "AllAlpha": true}
	check(t, "mistakes of known gates", 0, len(validateGates(right, known, path)))
	mistakes := validateGates(map[string]bool{"Done": false, "None": true}, known, path)
	check(t, "mistakes", "[gates[Done]: Invalid value: false: cannot set feature gate Done to false, feature is locked "+
		"to true, gates[None]: Invalid value: true: unrecognized feature gate: None]", mistakes.ToAggregate().Error())
}

func check(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
