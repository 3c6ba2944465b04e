// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package admission serves the webhooks. They validate LeaderWorkerSets as far as the CRD's schema and CEL rules can't,
// fill in defaults that the schema can't, and answer with what package desired injects into pods.
package admission

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// The paths of the webhooks.
const (
	setDefaultsPath   = "/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset"
	setValidationPath = "/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset"
	podPath           = "/mutate--v1-pod"
)

// Options are the tunables of the webhooks. The API server waits for a webhook for 10 seconds, so each duration is
// shorter.
type Options struct {
	// DryRunTimeout bounds the validation of one set's StatefulSets by the API server. A validation that takes longer
	// doesn't reject the set.
	DryRunTimeout time.Duration

	// CacheTimeout bounds the wait until the cache shows the operator's own writes. A webhook that waits longer asks the
	// API server.
	CacheTimeout time.Duration

	// Meter takes what metrics count. It is never nil.
	Meter Meter
}

// Meter takes what metrics count. Requests call it at the same time.
type Meter interface {
	// LeaderRejected takes a leader that is sent back because of the release, see [release.Rejection].
	LeaderRejected()
}

// noMeter counts nothing.
type noMeter struct{}

// LeaderRejected implements [Meter].
func (noMeter) LeaderRejected() {}

// DefaultOptions returns the options of an operator that runs in a cluster.
func DefaultOptions() Options {
	return Options{DryRunTimeout: 4 * time.Second, CacheTimeout: time.Second, Meter: noMeter{}}
}

// Setup adds the webhooks to a manager's server. features returns what schedules pods together now.
func Setup(mgr ctrl.Manager, features func() scheduling.Features, options Options) error {
	sets := newSetWebhook(mgr.GetClient(), features, options)
	pods := podWebhook{
		decoder:  ctrladmission.NewDecoder(mgr.GetScheme()),
		live:     mgr.GetAPIReader(),
		cached:   mgr.GetClient(),
		elected:  mgr.Elected(),
		features: features,
		options:  options,
	}
	for path, handler := range handlers(mgr.GetScheme(), sets, pods) {
		mgr.GetWebhookServer().Register(path, &ctrladmission.Webhook{Handler: handler})
	}
	return nil
}

func newSetWebhook(
	writer client.Client, features func() scheduling.Features, options Options,
) *leaderWorkerSetWebhook {
	return &leaderWorkerSetWebhook{
		reader: writer, dryRun: client.NewDryRunClient(writer), features: features, options: options,
	}
}

// Check returns a function that returns why a LeaderWorkerSet could never run, as the webhook does when somebody
// creates it. Kinds whose children are LeaderWorkerSets validate them by it. It doesn't compare the set with others.
// It rejects spec.scheduling: nobody has tried gangs of such sets yet.
func Check(
	writer client.Client, options Options,
) func(context.Context, *leaderworkersetv1.LeaderWorkerSet) error {
	webhook := newSetWebhook(writer, scheduling.NoFeatures, options)
	return func(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
		if lws.Spec.Scheduling != nil {
			gangs := field.Forbidden(field.NewPath("spec", "scheduling"), "roles have no gang scheduling yet")
			return apierrors.NewInvalid(groupKind, lws.Name, field.ErrorList{gangs})
		}
		return webhook.checkAlone(ctx, defaulted(lws))
	}
}

// handlers returns what answers requests, by the path.
func handlers(
	scheme *runtime.Scheme, sets *leaderWorkerSetWebhook, pods podWebhook,
) map[string]ctrladmission.Handler {
	defaults := ctrladmission.WithDefaulter(scheme, sets).Handler
	return map[string]ctrladmission.Handler{
		setDefaultsPath:   explainsUnsupported{pods.decoder, sets.features, defaults},
		setValidationPath: undecodableValidation{pods.decoder, ctrladmission.WithValidator(scheme, sets).Handler},
		podPath:           pods,
	}
}
