// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
)

// maxConcurrency bounds the passes that run at a time. Each has a goroutine.
const maxConcurrency = 1000

// validate returns all mistakes in the values of a configuration.
func validate(c *v1alpha1.OperatorConfiguration) field.ErrorList {
	return slices.Concat(
		validateType(c),
		validateNamespaces(c.Namespaces, field.NewPath("namespaces")),
		validateControllers(&c.Controllers, field.NewPath("controllers")),
		validateClientConnection(&c.ClientConnection, field.NewPath("clientConnection")),
		validateLeaderElection(&c.LeaderElection, field.NewPath("leaderElection")),
		validateNamespaces(c.TakeOverFrom, field.NewPath("takeOverFrom")),
		validateWebhook(&c.Webhook, field.NewPath("webhook")),
		validateAddress(c.Metrics.BindAddress, field.NewPath("metrics", "bindAddress")),
		validateAddress(c.Health.BindAddress, field.NewPath("health", "bindAddress")),
		validateTLS(&c.TLS, field.NewPath("tls")),
		validateAddress(c.Profiling.BindAddress, field.NewPath("profiling", "bindAddress")),
		notNegative(c.Shutdown.Delay.Duration, field.NewPath("shutdown", "delay")),
		oneOf(c.Scheduling.Provider, field.NewPath("scheduling", "provider"), noProvider, kubernetes),
		validateGates(c.FeatureGates, features(), field.NewPath("featureGates")),
	)
}

// validateForOLM returns the mistakes of a configuration that are mistakes only if OLM installed the operator. With
// OLM, the API server calls the webhooks for all namespaces. The operator would refuse the pods of the others.
func validateForOLM(c *v1alpha1.OperatorConfiguration) field.ErrorList {
	if len(c.Namespaces) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("namespaces"), c.Namespaces,
		"must be empty, because OLM installed the operator for all namespaces; "+
			"remove it from the ConfigMap lws-operator-config")}
}

func validateType(c *v1alpha1.OperatorConfiguration) field.ErrorList {
	return slices.Concat(
		oneOf(c.APIVersion, field.NewPath("apiVersion"), v1alpha1.GroupVersion.String()),
		oneOf(c.Kind, field.NewPath("kind"), v1alpha1.Kind),
	)
}

func validateNamespaces(namespaces []string, path *field.Path) field.ErrorList {
	var mistakes field.ErrorList
	for i, namespace := range namespaces {
		mistakes = append(mistakes, validateName(namespace, path.Index(i), validation.IsDNS1123Label)...)
		if slices.Contains(namespaces[:i], namespace) {
			mistakes = append(mistakes, field.Duplicate(path.Index(i), namespace))
		}
	}
	return mistakes
}

// validateName returns why a name can't be that of an object.
func validateName(name string, path *field.Path, check func(string) []string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if problems := check(name); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(problems, "; "))}
	}
	return nil
}

func validateControllers(c *v1alpha1.Controllers, path *field.Path) field.ErrorList {
	restarts := path.Child("restarts")
	mistakes := slices.Concat(
		inRange(c.LeaderWorkerSet.Concurrency, 1, maxConcurrency, path.Child("leaderWorkerSet", "concurrency")),
		inRange(c.Group.Concurrency, 1, maxConcurrency, path.Child("group", "concurrency")),
		notNegative(c.Restarts.BaseDelay.Duration, restarts.Child("baseDelay")),
		positive(c.Restarts.HealthyAfter.Duration, restarts.Child("healthyAfter")),
	)
	if longest := c.Restarts.MaxDelay.Duration; longest < c.Restarts.BaseDelay.Duration {
		mistakes = append(mistakes, field.Invalid(restarts.Child("maxDelay"), longest.String(),
			"must not be shorter than baseDelay, "+c.Restarts.BaseDelay.Duration.String()))
	}
	return mistakes
}

func validateClientConnection(c *v1alpha1.ClientConnection, path *field.Path) field.ErrorList {
	var mistakes field.ErrorList
	if !(c.QPS > 0) { // NaN isn't more than 0.
		mistakes = append(mistakes, field.Invalid(path.Child("qps"), c.QPS, "must be more than 0"))
	}
	if c.Burst < 1 {
		mistakes = append(mistakes, field.Invalid(path.Child("burst"), c.Burst, "must be 1 or more"))
	}
	return mistakes
}

// validateLeaderElection returns what client-go refuses, also if no leader is elected.
func validateLeaderElection(c *v1alpha1.LeaderElection, path *field.Path) field.ErrorList {
	lease, deadline, retry := c.LeaseDuration.Duration, c.RenewDeadline.Duration, c.RetryPeriod.Duration
	mistakes := positive(retry, path.Child("retryPeriod"))
	if c.Namespace != "" {
		mistakes = append(mistakes, validateName(c.Namespace, path.Child("namespace"), validation.IsDNS1123Label)...)
	}
	if lease <= deadline {
		mistakes = append(mistakes, field.Invalid(path.Child("leaseDuration"), lease.String(),
			"must be longer than renewDeadline, "+deadline.String()))
	}
	if lease%time.Second != 0 {
		mistakes = append(mistakes, field.Invalid(path.Child("leaseDuration"), lease.String(), "must be whole seconds"))
	}
	if float64(deadline) <= leaderelection.JitterFactor*float64(retry) {
		mistakes = append(mistakes, field.Invalid(path.Child("renewDeadline"), deadline.String(),
			fmt.Sprintf("must be longer than %g times retryPeriod, %s", leaderelection.JitterFactor, retry)))
	}
	return mistakes
}

func validateWebhook(c *v1alpha1.Webhook, path *field.Path) field.ErrorList {
	certificate := path.Child("certificate")
	mistakes := inRange(c.Port, 1, 65535, path.Child("port"))
	if c.Certificate.Files != nil && c.Certificate.Authority != nil {
		mistakes = append(mistakes, field.Forbidden(certificate, "files and authority exclude each other"))
	}
	if authority := c.Certificate.Authority; authority != nil {
		mistakes = append(mistakes, validateAuthority(authority, certificate.Child("authority"))...)
	}
	return mistakes
}

func validateAuthority(c *v1alpha1.CertificateAuthority, path *field.Path) field.ErrorList {
	name := validation.IsDNS1123Subdomain
	return slices.Concat(
		validateName(c.Secret.Namespace, path.Child("secret", "namespace"), validation.IsDNS1123Label),
		validateName(c.Secret.Name, path.Child("secret", "name"), name),
		validateName(c.MutatingWebhookConfiguration, path.Child("mutatingWebhookConfiguration"), name),
		validateName(c.ValidatingWebhookConfiguration, path.Child("validatingWebhookConfiguration"), name),
	)
}

// validateAddress returns why a server can't listen on an address.
func validateAddress(address string, path *field.Path) field.ErrorList {
	if address == notServed {
		return nil
	}
	_, text, err := net.SplitHostPort(address)
	port, parseErr := strconv.Atoi(text)
	if err != nil || parseErr != nil || port < 1 || port > 65535 {
		return field.ErrorList{field.Invalid(path, address, `must be host:port or :port, or "0" for no server`)}
	}
	return nil
}

func validateTLS(c *v1alpha1.TLS, path *field.Path) field.ErrorList {
	suites := path.Child("cipherSuites")
	mistakes := oneOf(c.MinVersion, path.Child("minVersion"), tls12, tls13)
	if c.MinVersion == tls13 && len(c.CipherSuites) > 0 {
		mistakes = append(mistakes, field.Forbidden(suites, "the suites of TLS 1.3 can't be chosen"))
	}
	for i, suite := range c.CipherSuites {
		mistakes = append(mistakes, oneOf(suite, suites.Index(i), http2Suites()...)...)
	}
	return mistakes
}

// http2Suites returns the names of the cipher suites of TLS 1.2 that HTTP/2 allows: those with forward secrecy and
// authenticated encryption. API servers call webhooks by HTTP/2. Its server ends connections with another suite.
func http2Suites() []string {
	var names []string
	for _, suite := range tls.CipherSuites() {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) && !strings.Contains(suite.Name, "_CBC_") {
			names = append(names, suite.Name)
		}
	}
	return names
}

func oneOf(value string, path *field.Path, allowed ...string) field.ErrorList {
	switch {
	case slices.Contains(allowed, value):
		return nil
	case value == "" && len(allowed) == 1:
		return field.ErrorList{field.Required(path, "must be "+allowed[0])}
	default:
		return field.ErrorList{field.NotSupported(path, value, allowed)}
	}
}

func inRange(value, lowest, highest int32, path *field.Path) field.ErrorList {
	if lowest <= value && value <= highest {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("must be from %d to %d", lowest, highest))}
}

func notNegative(value time.Duration, path *field.Path) field.ErrorList {
	if value >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value.String(), "must not be negative")}
}

func positive(value time.Duration, path *field.Path) field.ErrorList {
	if value > 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value.String(), "must be more than 0s")}
}
