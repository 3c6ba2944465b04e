// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	goflag "flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	clientconfig "sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
)

// helpColumns is the width of the help.
const helpColumns = 120

// flags are the flags of the operator, bound to the values that they set.
type flags struct {
	// all has the flags of all sections.
	all *pflag.FlagSet

	// configuration has the fields that flags override.
	configuration *v1alpha1.OperatorConfiguration

	file    string
	version bool
	logging zap.Options
}

// The names of flags that load looks at.
const (
	fileFlag           = "config"
	certDirFlag        = "webhook-cert-dir"
	authoritySecret    = "webhook-authority-secret"
	mutatingWebhooks   = "mutating-webhook-configuration"
	validatingWebhooks = "validating-webhook-configuration"
)

// newFlags returns flags that override the fields of a configuration. Help is written to help.
func newFlags(configuration *v1alpha1.OperatorConfiguration, help io.Writer) *flags {
	f := &flags{all: pflag.NewFlagSet("manager", pflag.ContinueOnError), configuration: configuration}
	sections := cliflag.NamedFlagSets{}

	general := sections.FlagSet("general")
	general.StringVar(&f.file, fileFlag, defaultFile,
		"path of the configuration file; it may be missing at the default path only")
	general.Var(cliflag.NewMapStringBool(&configuration.FeatureGates), "feature-gates",
		"feature gates as name=true or name=false, separated by commas; they override those of the file")
	general.BoolVar(&f.version, "version", false, "print the version and exit")

	cluster := sections.FlagSet("cluster")
	addGoFlags(cluster, clientconfig.RegisterFlags)
	cluster.BoolVar(&configuration.LeaderElection.LeaderElect, "leader-elect", configuration.LeaderElection.LeaderElect,
		"elect a leader among several replicas; only the leader reconciles")

	addGoFlags(sections.FlagSet("logging"), f.logging.BindFlags)
	addAliases(sections.FlagSet("aliases"), configuration)

	for _, name := range sections.Order {
		f.all.AddFlagSet(sections.FlagSets[name])
	}
	f.all.SetOutput(help)
	f.all.Usage = func() {
		_, _ = fmt.Fprint(help, "manager runs the LeaderWorkerSet operator. docs/operate/configuration.md describes its "+
			"configuration file.\n")
		cliflag.PrintSections(help, visible(sections), helpColumns)
	}
	return f
}

// visible returns the sections that have flags in the help.
func visible(sections cliflag.NamedFlagSets) cliflag.NamedFlagSets {
	shown := cliflag.NamedFlagSets{FlagSets: sections.FlagSets}
	for _, name := range sections.Order {
		if sections.FlagSets[name].HasAvailableFlags() {
			shown.Order = append(shown.Order, name)
		}
	}
	return shown
}

// addGoFlags adds the flags of a package that knows the standard library's flags only.
func addGoFlags(section *pflag.FlagSet, register func(*goflag.FlagSet)) {
	standard := goflag.NewFlagSet("", goflag.ContinueOnError)
	register(standard)
	section.AddGoFlagSet(standard)
}

// addAliases adds hidden flags for fields of the file. Earlier versions had no file.
func addAliases(section *pflag.FlagSet, c *v1alpha1.OperatorConfiguration) {
	section.StringVar(&c.Metrics.BindAddress, "metrics-bind-address", c.Metrics.BindAddress, "metrics.bindAddress")
	section.BoolVar(&c.Metrics.Secure, "metrics-secure", c.Metrics.Secure, "metrics.secure")
	section.StringVar(&c.Metrics.CertificateDirectory, "metrics-cert-dir", "", "metrics.certificateDirectory")
	section.StringVar(&c.Metrics.ServiceName, "metrics-service", "", "metrics.serviceName")
	section.StringVar(&c.Metrics.AuthorityConfigMap, "metrics-authority-config-map", "", "metrics.authorityConfigMap")
	section.StringVar(&c.Health.BindAddress, "health-probe-bind-address", c.Health.BindAddress, "health.bindAddress")
	section.StringVar(&c.LeaderElection.Namespace, "leader-election-namespace", "", "leaderElection.namespace")
	section.StringVar(&c.Webhook.Host, "webhook-host", "", "webhook.host")
	section.Int32Var(&c.Webhook.Port, "webhook-port", c.Webhook.Port, "webhook.port")
	section.Float32Var(&c.ClientConnection.QPS, "kube-api-qps", c.ClientConnection.QPS, "clientConnection.qps")
	section.Int32Var(&c.ClientConnection.Burst, "kube-api-burst", c.ClientConnection.Burst, "clientConnection.burst")
	section.DurationVar(&c.Shutdown.Delay.Duration, "shutdown-delay", c.Shutdown.Delay.Duration, "shutdown.delay")
	addCertificateAliases(section, &c.Webhook.Certificate)
	section.VisitAll(func(alias *pflag.Flag) {
		alias.Usage = "the field " + alias.Usage + " of the configuration file"
		alias.Hidden = true
	})
}

// addCertificateAliases adds the aliases of fields that are in the file only if they are used.
func addCertificateAliases(section *pflag.FlagSet, certificate *v1alpha1.Certificate) {
	authority := func() *v1alpha1.CertificateAuthority {
		if certificate.Authority == nil {
			certificate.Authority = &v1alpha1.CertificateAuthority{}
		}
		return certificate.Authority
	}
	section.Func(certDirFlag, "webhook.certificate.files.directory", func(directory string) error {
		certificate.Files = &v1alpha1.CertificateFiles{Directory: directory}
		return nil
	})
	section.Func(authoritySecret, "webhook.certificate.authority.secret", func(value string) error {
		namespace, name, _ := strings.Cut(value, "/")
		if namespace == "" || name == "" || strings.Contains(name, "/") {
			return errors.New("want <namespace>/<name>")
		}
		authority().Secret = v1alpha1.SecretReference{Namespace: namespace, Name: name}
		return nil
	})
	section.Func(mutatingWebhooks, "webhook.certificate.authority.mutatingWebhookConfiguration",
		func(name string) error {
			authority().MutatingWebhookConfiguration = name
			return nil
		})
	section.Func(validatingWebhooks, "webhook.certificate.authority.validatingWebhookConfiguration",
		func(name string) error {
			authority().ValidatingWebhookConfiguration = name
			return nil
		})
}

// chooseCertificate drops the source of the webhooks' certificate that flags overrule. An authority wins over files.
func (f *flags) chooseCertificate() {
	certificate := &f.configuration.Webhook.Certificate
	switch {
	case slices.ContainsFunc([]string{authoritySecret, mutatingWebhooks, validatingWebhooks}, f.all.Changed):
		certificate.Files = nil
	case f.all.Changed(certDirFlag):
		certificate.Authority = nil
	}
}
