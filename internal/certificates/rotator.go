// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// reasonNewAuthority is the reason of the event on the Secret that gets a new authority.
	reasonNewAuthority = "NewAuthority"

	// conflictDelay is the time until the next pass after a write that conflicted.
	conflictDelay = 100 * time.Millisecond

	// minRetryDelay and maxRetryDelay bound the exponential back-off of passes that fail.
	minRetryDelay, maxRetryDelay = 100 * time.Millisecond, 30 * time.Second

	// changesPerSecond and changeBurst limit the changes of webhook configurations, in case that another program keeps
	// changing their caBundles.
	changesPerSecond, changeBurst = 0.2, 10
)

// Options configure a Rotator.
type Options struct {
	// Secret has the authority. Its type is kubernetes.io/tls. The Rotator creates the Secret if it doesn't exist.
	Secret types.NamespacedName

	// MutatingWebhookConfiguration and ValidatingWebhookConfiguration name the objects whose caBundles get the authority.
	// The certificate covers the Services and URLs in them.
	MutatingWebhookConfiguration, ValidatingWebhookConfiguration string

	// Hosts are further names that the certificate covers, such as that of the Service of the metrics.
	Hosts []string

	// ConfigMap is the name of the object that gets the authority for readers of the metrics, in the namespace of the
	// Secret. The Rotator creates the ConfigMap if it doesn't exist. If empty, there is none.
	ConfigMap string

	// Clock is the source of the time.
	Clock clock.PassiveClock
}

// Rotator makes and renews the webhooks' certificate.
type Rotator struct {
	options   Options
	client    client.Client
	apiReader client.Reader // reads from the API server, not from the cache
	recorder  events.EventRecorder
	changes   flowcontrol.PassiveRateLimiter

	// serving is nil until there is a certificate.
	serving atomic.Pointer[serving]

	// trusted is the authority that the previous pass found or wrote in the caBundles. Without such a pass, its authority
	// is nil.
	trusted trust
}

// New returns a Rotator. The manager's cache needs LimitCache and its webhook server needs ServeBy before Setup.
func New(options Options) *Rotator {
	limiter := flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(changesPerSecond, changeBurst, options.Clock)
	return &Rotator{options: options, changes: limiter}
}

// LimitCache restricts the cache of Secrets, ConfigMaps and webhook configurations to the objects that a Rotator reads.
func (r *Rotator) LimitCache(options *cache.Options) {
	named := func(name string) fields.Selector { return fields.OneTermEqualSelector(metav1.ObjectNameField, name) }
	options.ByObject[&corev1.Secret{}] = cache.ByObject{
		Namespaces: map[string]cache.Config{r.options.Secret.Namespace: {}},
		Field:      named(r.options.Secret.Name),
	}
	options.ByObject[&admissionregistrationv1.MutatingWebhookConfiguration{}] = cache.ByObject{
		Field: named(r.options.MutatingWebhookConfiguration),
	}
	options.ByObject[&admissionregistrationv1.ValidatingWebhookConfiguration{}] = cache.ByObject{
		Field: named(r.options.ValidatingWebhookConfiguration),
	}
	if r.options.ConfigMap != "" {
		options.ByObject[&corev1.ConfigMap{}] = cache.ByObject{
			Namespaces: map[string]cache.Config{r.options.Secret.Namespace: {}},
			Field:      named(r.options.ConfigMap),
		}
	}
}

// ServeBy makes a server present the Rotator's current certificate. While there is none, TLS handshakes fail.
func (r *Rotator) ServeBy(config *tls.Config) {
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if current := r.serving.Load(); current != nil {
			return current.certificate, nil
		}
		return nil, errors.New("there is no certificate yet")
	}
}

// Setup adds the Rotator to a manager. A replica is ready once it serves a certificate that the API server accepts.
func (r *Rotator) Setup(mgr ctrl.Manager) error {
	r.client, r.apiReader, r.recorder = mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("certificates")
	backoff := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minRetryDelay, maxRetryDelay)
	c, err := ctrlcontroller.New("certificates", mgr, ctrlcontroller.Options{
		Reconciler:         r,
		NeedLeaderElection: ptr.To(false),
		RateLimiter:        backoff,
	})
	if err != nil {
		return err
	}
	pass := reconcile.Request{NamespacedName: r.options.Secret}
	first := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(pass)
		return nil
	})
	var published error
	if r.options.ConfigMap != "" {
		published = c.Watch(source.Kind(mgr.GetCache(), &corev1.ConfigMap{}, enqueue[*corev1.ConfigMap](pass)))
	}
	return errors.Join(
		published,
		c.Watch(first),
		c.Watch(source.Kind(mgr.GetCache(), &corev1.Secret{}, enqueue[*corev1.Secret](pass))),
		c.Watch(source.Kind(mgr.GetCache(), &admissionregistrationv1.MutatingWebhookConfiguration{},
			enqueue[*admissionregistrationv1.MutatingWebhookConfiguration](pass))),
		c.Watch(source.Kind(mgr.GetCache(), &admissionregistrationv1.ValidatingWebhookConfiguration{},
			enqueue[*admissionregistrationv1.ValidatingWebhookConfiguration](pass))),
		mgr.AddReadyzCheck("certificate", r.ready),
	)
}

// enqueue returns a handler that starts a pass on every event.
func enqueue[T client.Object](pass reconcile.Request) handler.TypedEventHandler[T, reconcile.Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, T) []reconcile.Request {
		return []reconcile.Request{pass}
	})
}

// End returns when the certificate ends that this replica serves. ok is false while there is none.
func (r *Rotator) End() (end time.Time, ok bool) {
	served := r.serving.Load()
	if served == nil {
		return time.Time{}, false
	}
	return served.certificate.Leaf.NotAfter, true
}

func (r *Rotator) ready(*http.Request) error {
	if !r.serving.Load().valid(r.options.Clock.Now()) {
		return errors.New("there is no valid certificate")
	}
	return nil
}

// Reconcile makes one pass. A conflict isn't an error: another replica was faster, and the pass repeats after
// conflictDelay.
func (r *Rotator) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	now := r.options.Clock.Now()
	next, err := r.pass(ctx, now)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		log.FromContext(ctx).V(1).Info("Requeued after a conflict", "reason", err.Error())
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	return reconcile.Result{RequeueAfter: next.Sub(now)}, err
}

// pass makes one pass, and returns when the next one is due if no object changes.
func (r *Rotator) pass(ctx context.Context, now time.Time) (next time.Time, err error) {
	current, err := r.currentAuthority(ctx, now)
	if err != nil {
		return now, fmt.Errorf("the authority for certificates: %w", err)
	}
	hosts, unpublished, err := r.announce(ctx, current, now)
	if err != nil {
		return now, err
	}
	served := r.serving.Load()
	if !now.Before(served.replaceAt(hosts, r.trusted, now)) {
		if served, err = r.serve(ctx, hosts, now); err != nil {
			return now, fmt.Errorf("the webhooks' certificate: %w", err)
		}
	}
	authorityRenewal := renewal(current.certificate.NotBefore, current.certificate.NotAfter)
	if unpublished != nil { // Webhooks don't depend on that.
		return now, unpublished
	}
	next = earliest(authorityRenewal, served.replaceAt(hosts, r.trusted, now))
	if overlapEnd := r.trusted.since.Add(overlap); now.Before(overlapEnd) {
		next = earliest(next, overlapEnd)
	}
	return next, nil
}

// currentAuthority reads the authority from its Secret. If a new authority is needed, it makes one and writes the
// Secret.
func (r *Rotator) currentAuthority(ctx context.Context, now time.Time) (*authority, error) {
	secret := &corev1.Secret{}
	err := r.client.Get(ctx, r.options.Secret, secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	exists := err == nil
	reason := err
	if exists {
		var current *authority
		if current, reason = readAuthority(secret.Data, now); reason == nil {
			return current, nil
		}
	}
	if secret.Data, err = newAuthority(now); err != nil {
		return nil, err
	}
	if exists {
		err = r.client.Update(ctx, secret)
	} else {
		secret.Namespace, secret.Name = r.options.Secret.Namespace, r.options.Secret.Name
		secret.Type = corev1.SecretTypeTLS
		secret.Labels = ownLabels()
		err = r.client.Create(ctx, secret)
	}
	if err != nil {
		return nil, err
	}
	made, err := readAuthority(secret.Data, now)
	if err != nil {
		return nil, err
	}
	log.FromContext(ctx).Info("Made a new authority for the webhooks' certificate",
		"reason", reason.Error(), "notAfter", made.certificate.NotAfter)
	r.recorder.Eventf(secret, nil, corev1.EventTypeNormal, reasonNewAuthority, "Renew",
		"made a new authority for the webhooks' certificate: %v", reason)
	return made, nil
}

// announce adds the authority to the caBundles of the webhook configurations and to the ConfigMap, beside the authority
// of the certificate that this replica serves. It returns the hosts that the certificate has to cover. unpublished is
// why the ConfigMap couldn't be written.
func (r *Rotator) announce(
	ctx context.Context, current *authority, now time.Time,
) (hosts []string, unpublished, err error) {
	configurations, err := r.configurations(ctx)
	if err != nil {
		return nil, nil, err
	}
	desired := []*x509.Certificate{current.certificate}
	if served := r.serving.Load(); served.valid(now) && !served.authority.Equal(current.certificate) {
		desired = append(desired, served.authority)
	}
	isNew := r.trusted.authority == nil || !r.trusted.certificate.Equal(current.certificate)
	keep := func(other *x509.Certificate) bool {
		inOverlap := isNew || now.Before(r.trusted.since.Add(overlap))
		return now.Before(other.NotAfter) && (inOverlap || !r.isCurrent(ctx, current, now))
	}
	var called []*admissionregistrationv1.WebhookClientConfig
	for _, configuration := range configurations {
		if err := r.inject(ctx, configuration, desired, keep); err != nil {
			return nil, nil, fmt.Errorf("%T %s: %w", configuration, configuration.GetName(), err)
		}
		called = append(called, clientConfigs(configuration)...)
	}
	unpublished = r.publish(ctx, desired, keep)
	if isNew {
		r.trusted = trust{current, now}
	}
	return merged(hostsOf(called), r.options.Hosts), unpublished, nil
}

// caKey is the key of the ConfigMap with the authority.
const caKey = "ca.crt"

// publish writes the ConfigMap if it lacks one of the desired authorities, or has one that isn't kept.
func (r *Rotator) publish(
	ctx context.Context, desired []*x509.Certificate, keep func(*x509.Certificate) bool,
) error {
	if r.options.ConfigMap == "" {
		return nil
	}
	published := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: r.options.Secret.Namespace, Name: r.options.ConfigMap}
	err := r.client.Get(ctx, key, published)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("the authority for readers of metrics: %w", err)
	}
	exists := err == nil
	before := []byte(published.Data[caKey])
	after, err := bundle(before, desired, keep)
	if err != nil || (exists && bytes.Equal(before, after)) {
		return err
	}
	published = published.DeepCopy()
	published.Data = map[string]string{caKey: string(after)}
	if exists {
		err = r.client.Update(ctx, published)
	} else {
		published.Namespace, published.Name, published.Labels = key.Namespace, key.Name, ownLabels()
		err = r.client.Create(ctx, published)
	}
	if err != nil {
		return fmt.Errorf("the authority for readers of metrics: %w", err)
	}
	log.FromContext(ctx).Info("Published the authority for readers of metrics", "configMap", key)
	return nil
}

// ownLabels are the labels of objects that a Rotator creates.
func ownLabels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "lws-operator", "app.kubernetes.io/managed-by": "lws-operator"}
}

// isCurrent asks the API server whether the Secret still has the known authority. With a stale cache, this replica
// would take the new authority of another replica for an old one and remove it.
func (r *Rotator) isCurrent(ctx context.Context, known *authority, now time.Time) bool {
	secret := &corev1.Secret{}
	if err := r.apiReader.Get(ctx, r.options.Secret, secret); err != nil {
		log.FromContext(ctx).Error(err, "Earlier authorities stay trusted")
		return false
	}
	current, err := readAuthority(secret.Data, now)
	return err == nil && current.certificate.Equal(known.certificate)
}

// configurations returns the webhook configurations that exist. An administrator may have deleted one of the two. The
// webhooks in the other one still need their certificate.
func (r *Rotator) configurations(ctx context.Context) ([]client.Object, error) {
	var found []client.Object
	var missing error
	mutating := metav1.ObjectMeta{Name: r.options.MutatingWebhookConfiguration}
	validating := metav1.ObjectMeta{Name: r.options.ValidatingWebhookConfiguration}
	for _, configuration := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: mutating},
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: validating},
	} {
		err := r.client.Get(ctx, client.ObjectKeyFromObject(configuration), configuration)
		switch {
		case err == nil:
			found = append(found, configuration)
		case apierrors.IsNotFound(err):
			log.FromContext(ctx).Info("A webhook configuration is missing", "reason", err.Error())
			missing = errors.Join(missing, err)
		default:
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, missing
	}
	return found, nil
}

// inject sets the caBundles of a configuration, and writes the configuration if one of them changed.
func (r *Rotator) inject(
	ctx context.Context, configuration client.Object, desired []*x509.Certificate, keep func(*x509.Certificate) bool,
) error {
	before, ok := configuration.DeepCopyObject().(client.Object)
	if !ok {
		return errors.New("not an object")
	}
	for _, config := range clientConfigs(configuration) {
		var err error
		if config.CABundle, err = bundle(config.CABundle, desired, keep); err != nil {
			return err
		}
	}
	if equality.Semantic.DeepEqual(before, configuration) {
		return nil
	}
	if !r.changes.TryAccept() {
		return errors.New("too many changes: does something else write the caBundle?")
	}
	patch := client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, configuration, patch); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Changed the caBundles of a webhook configuration", "configuration", configuration.GetName())
	return nil
}

// clientConfigs returns how the API server calls each webhook of a configuration. The pointers lead into the
// configuration.
func clientConfigs(configuration client.Object) []*admissionregistrationv1.WebhookClientConfig {
	var configs []*admissionregistrationv1.WebhookClientConfig
	switch configuration := configuration.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i := range configuration.Webhooks {
			configs = append(configs, &configuration.Webhooks[i].ClientConfig)
		}
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i := range configuration.Webhooks {
			configs = append(configs, &configuration.Webhooks[i].ClientConfig)
		}
	}
	return configs
}

// serve makes a new certificate, signed by the trusted authority, and starts to serve it.
func (r *Rotator) serve(ctx context.Context, hosts []string, now time.Time) (*serving, error) {
	certificate, err := r.trusted.sign(hosts, now)
	if err != nil {
		return nil, err
	}
	served := &serving{certificate: certificate, hosts: hosts, since: now, authority: r.trusted.certificate}
	r.serving.Store(served)
	log.FromContext(ctx).Info("Webhooks serve a new certificate", "hosts", hosts, "notAfter", certificate.Leaf.NotAfter)
	return served, nil
}
