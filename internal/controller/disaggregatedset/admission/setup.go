// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package admission serves the webhooks of DisaggregatedSets. They fill in defaults, and reject what the CRD's schema
// and CEL rules can't. The rules for LeaderWorkerSets apply to each role: package leaderworkerset/admission has them.
package admission

import (
	ctrl "sigs.k8s.io/controller-runtime"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	lwsadmission "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
)

// The paths of the webhooks.
const (
	defaultsPath   = "/mutate-disaggregatedset-x-k8s-io-v1-disaggregatedset"
	validationPath = "/validate-disaggregatedset-x-k8s-io-v1-disaggregatedset"
)

// Setup adds the webhooks to a manager's server. The options are those of LeaderWorkerSets.
func Setup(mgr ctrl.Manager, options lwsadmission.Options) error {
	sets := &webhook{check: lwsadmission.Check(mgr.GetClient(), options), timeout: options.DryRunTimeout}
	server, scheme := mgr.GetWebhookServer(), mgr.GetScheme()
	server.Register(defaultsPath, ctrladmission.WithDefaulter(scheme, sets))
	server.Register(validationPath, ctrladmission.WithValidator(scheme, sets))
	return nil
}
