// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
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
	// reasonNewAuthority is that of the event on the Secret that gets another authority.
	reasonNewAuthority = "NewAuthority"

	// moment is when a pass is made again whose view was late.
	moment = 100 * time.Millisecond

	// shortestRetry and longestRetry bound the growing delay between attempts at a pass that fails.
	shortestRetry, longestRetry = 100 * time.Millisecond, 30 * time.Second

	// changesPerSecond and changeBurst bound how often webhook configurations are changed, should somebody else want other caBundles in them.
	changesPerSecond, changeBurst = 0.2, 10
)

// Options say where everything is.
type Options struct {
	// Secret is that of the authority, of type kubernetes.io/tls. It need not exist.
	Secret types.NamespacedName

	// MutatingWebhookConfiguration and ValidatingWebhookConfiguration are the names of what gets the authority as caBundle. The
	// certificate is for the Services and URLs in them.
	MutatingWebhookConfiguration, ValidatingWebhookConfiguration string

	// Clock tells the time.
	Clock clock.PassiveClock
}

// Rotator makes and renews the certificate that webhooks are served with.
type Rotator struct {
	options  Options
	client   client.Client
	live     client.Reader // reads past the cache
	recorder events.EventRecorder
	changes  flowcontrol.PassiveRateLimiter

	// serving is nil until there is a certificate.
	serving atomic.Pointer[serving]

	// trusted is of the pass before.
	trusted trust
}

// New returns a Rotator, of which a manager's cache and webhook server have to know before it is set up.
func New(options Options) *Rotator {
	return &Rotator{options: options, changes: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(changesPerSecond, changeBurst, options.Clock)}
}

// LimitCache has a cache hold nothing but the three objects of their kinds.
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
}

// ServeBy has a server present the certificate of the moment. While there is none, connections are refused.
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
	r.client, r.live, r.recorder = mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("certificates")
	c, err := ctrlcontroller.New("certificates", mgr, ctrlcontroller.Options{
		Reconciler:         r,
		NeedLeaderElection: ptr.To(false),
		RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortestRetry, longestRetry),
	})
	if err != nil {
		return err
	}
	pass := reconcile.Request{NamespacedName: r.options.Secret}
	first := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(pass)
		return nil
	})
	return errors.Join(
		c.Watch(first),
		c.Watch(source.Kind(mgr.GetCache(), &corev1.Secret{}, enqueue[*corev1.Secret](pass))),
		c.Watch(source.Kind(mgr.GetCache(), &admissionregistrationv1.MutatingWebhookConfiguration{},
			enqueue[*admissionregistrationv1.MutatingWebhookConfiguration](pass))),
		c.Watch(source.Kind(mgr.GetCache(), &admissionregistrationv1.ValidatingWebhookConfiguration{},
			enqueue[*admissionregistrationv1.ValidatingWebhookConfiguration](pass))),
		mgr.AddReadyzCheck("certificate", r.ready),
	)
}

// enqueue starts a pass whatever happens to an object.
func enqueue[T client.Object](pass reconcile.Request) handler.TypedEventHandler[T, reconcile.Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, T) []reconcile.Request { return []reconcile.Request{pass} })
}

func (r *Rotator) ready(*http.Request) error {
	if !r.serving.Load().valid(r.options.Clock.Now()) {
		return errors.New("there is no valid certificate")
	}
	return nil
}

// Reconcile makes one pass. One whose view was late is made again a moment later: another replica was faster, that is no error.
func (r *Rotator) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	now := r.options.Clock.Now()
	next, err := r.pass(ctx, now)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		log.FromContext(ctx).V(1).Info("Looking again", "reason", err.Error())
		return reconcile.Result{RequeueAfter: moment}, nil
	}
	return reconcile.Result{RequeueAfter: next.Sub(now)}, err
}

// pass returns when the next one is due if nothing changes.
func (r *Rotator) pass(ctx context.Context, now time.Time) (next time.Time, err error) {
	current, err := r.currentAuthority(ctx, now)
	if err != nil {
		return now, fmt.Errorf("the authority for certificates: %w", err)
	}
	hosts, err := r.announce(ctx, current, now)
	if err != nil {
		return now, err
	}
	served := r.serving.Load()
	if !now.Before(served.replaceAt(hosts, r.trusted, now)) {
		if served, err = r.serve(ctx, hosts, now); err != nil {
			return now, fmt.Errorf("the webhooks' certificate: %w", err)
		}
	}
	due := renewal(current.certificate.NotBefore, current.certificate.NotAfter)
	next = earliest(due, served.replaceAt(hosts, r.trusted, now))
	if forgotten := r.trusted.since.Add(overlap); now.Before(forgotten) {
		next = earliest(next, forgotten)
	}
	return next, nil
}

// currentAuthority reads the authority from its Secret, and writes another one if that is due.
func (r *Rotator) currentAuthority(ctx context.Context, now time.Time) (*authority, error) {
	secret := &corev1.Secret{}
	err := r.client.Get(ctx, r.options.Secret, secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	exists := err == nil
	why := err
	if exists {
		var current *authority
		if current, why = readAuthority(secret.Data, now); why == nil {
			return current, nil
		}
	}
	if secret.Data, err = newAuthority(now); err != nil {
		return nil, err
	}
	if exists {
		err = r.client.Update(ctx, secret)
	} else {
		secret.Namespace, secret.Name, secret.Type = r.options.Secret.Namespace, r.options.Secret.Name, corev1.SecretTypeTLS
		secret.Labels = map[string]string{"app.kubernetes.io/name": "lws-operator", "app.kubernetes.io/managed-by": "lws-operator"}
		err = r.client.Create(ctx, secret)
	}
	if err != nil {
		return nil, err
	}
	made, err := readAuthority(secret.Data, now)
	if err != nil {
		return nil, err
	}
	log.FromContext(ctx).Info("New authority for the webhooks' certificate", "because", why.Error(), "until", made.certificate.NotAfter)
	r.recorder.Eventf(secret, nil, corev1.EventTypeNormal, reasonNewAuthority, "Renew",
		"made a new authority for the webhooks' certificate: %v", why)
	return made, nil
}

// announce has the webhook configurations trust the authority, and what this replica serves. It returns the hosts in them.
func (r *Rotator) announce(ctx context.Context, current *authority, now time.Time) (hosts []string, err error) {
	configurations, err := r.configurations(ctx)
	if err != nil {
		return nil, err
	}
	wanted := []*x509.Certificate{current.certificate}
	if served := r.serving.Load(); served.valid(now) && !served.authority.Equal(current.certificate) {
		wanted = append(wanted, served.authority)
	}
	isNew := r.trusted.authority == nil || !r.trusted.certificate.Equal(current.certificate)
	keep := func(other *x509.Certificate) bool {
		return now.Before(other.NotAfter) && (isNew || now.Before(r.trusted.since.Add(overlap)) || !r.isCurrent(ctx, current, now))
	}
	var called []*admissionregistrationv1.WebhookClientConfig
	for _, configuration := range configurations {
		if err := r.inject(ctx, configuration, wanted, keep); err != nil {
			return nil, fmt.Errorf("%T %s: %w", configuration, configuration.GetName(), err)
		}
		called = append(called, clientConfigs(configuration)...)
	}
	if isNew {
		r.trusted = trust{current, now}
	}
	return hostsOf(called), nil
}

// isCurrent asks the API server whether an authority is still the one in the Secret. By a cache that is late, another replica's new authority
// would look like an old one.
func (r *Rotator) isCurrent(ctx context.Context, known *authority, now time.Time) bool {
	secret := &corev1.Secret{}
	if err := r.live.Get(ctx, r.options.Secret, secret); err != nil {
		return false
	}
	current, err := readAuthority(secret.Data, now)
	return err == nil && current.certificate.Equal(known.certificate)
}

// configurations are the webhook configurations that exist. One of the two may be missing, since an administrator has deleted it: the webhooks
// in the other one need their certificate all the same.
func (r *Rotator) configurations(ctx context.Context) ([]client.Object, error) {
	var found []client.Object
	var missing error
	for _, configuration := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: r.options.MutatingWebhookConfiguration}},
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: r.options.ValidatingWebhookConfiguration}},
	} {
		err := r.client.Get(ctx, client.ObjectKeyFromObject(configuration), configuration)
		switch {
		case err == nil:
			found = append(found, configuration)
		case apierrors.IsNotFound(err):
			log.FromContext(ctx).Info("A webhook configuration is missing", "because", err.Error())
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

// inject writes caBundles into a configuration where they have to change.
func (r *Rotator) inject(ctx context.Context, configuration client.Object, wanted []*x509.Certificate, keep func(*x509.Certificate) bool) error {
	before, ok := configuration.DeepCopyObject().(client.Object)
	if !ok {
		return errors.New("not an object")
	}
	for _, config := range clientConfigs(configuration) {
		var err error
		if config.CABundle, err = bundle(config.CABundle, wanted, keep); err != nil {
			return err
		}
	}
	if equality.Semantic.DeepEqual(before, configuration) {
		return nil
	}
	if !r.changes.TryAccept() {
		return errors.New("changed too often: does somebody else write its caBundle?")
	}
	if err := r.client.Patch(ctx, configuration, client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Changed the authorities that webhooks are trusted by", "configuration", configuration.GetName())
	return nil
}

// clientConfigs say how the API server calls each webhook of a configuration. They are part of it.
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

// serve has this replica serve a new certificate of the authority that is trusted.
func (r *Rotator) serve(ctx context.Context, hosts []string, now time.Time) (*serving, error) {
	certificate, err := r.trusted.sign(hosts, now)
	if err != nil {
		return nil, err
	}
	served := &serving{certificate: certificate, hosts: hosts, since: now, authority: r.trusted.certificate}
	r.serving.Store(served)
	log.FromContext(ctx).Info("Serving webhooks with a new certificate", "hosts", hosts, "until", certificate.Leaf.NotAfter)
	return served, nil
}
