// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package admission serves the webhooks. They are thin: they check what the CRD's schema and CEL rules can't say, fill in what schema
// defaults can't, and have the desired package inject pods.
package admission

import (
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

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
	return ctrl.NewWebhookManagedBy(mgr, &corev1.Pod{}).WithDefaulter(podWebhook{live: mgr.GetAPIReader()}).Complete()
}
