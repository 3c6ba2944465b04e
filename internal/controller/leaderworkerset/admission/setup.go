// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package admission serves the webhooks. They are thin: they check what the CRD's schema and CEL rules can't say, fill in what schema
// defaults can't, and have the desired package inject pods.
package admission

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// podPath is where the webhook for pods is served.
const podPath = "/mutate--v1-pod"

// Setup adds the webhooks to a manager's server.
func Setup(mgr ctrl.Manager) error {
	sets := &leaderWorkerSetWebhook{reader: mgr.GetClient(), dryRun: client.NewDryRunClient(mgr.GetClient())}
	err := ctrl.NewWebhookManagedBy(mgr, &leaderworkersetv1.LeaderWorkerSet{}).
		WithDefaulter(sets).
		WithValidator(sets).
		Complete()
	if err != nil {
		return err
	}
	pods := podWebhook{
		decoder: ctrladmission.NewDecoder(mgr.GetScheme()),
		live:    mgr.GetAPIReader(),
		cached:  mgr.GetClient(),
		leads:   mgr.Elected(),
	}
	mgr.GetWebhookServer().Register(podPath, &ctrladmission.Webhook{Handler: pods})
	return nil
}
