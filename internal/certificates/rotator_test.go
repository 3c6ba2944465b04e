// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	host           = "webhook-service.system.svc"
	configurations = "webhooks"
)

var secretKey = types.NamespacedName{Namespace: "system", Name: "authority"}

// errCrash is the error of a write during which the replica crashes.
var errCrash = errors.New("the replica crashes")

// world is a cluster with replicas of the operator.
type world struct {
	client   client.WithWatch
	clock    *clocktesting.FakePassiveClock
	replicas []*Rotator
	started  []time.Time // when each replica started

	writes          int
	crashAt         int  // number of the write at which the replica crashes; no crash if 0
	crashAfterWrite bool // whether the API server still does that write
}

func newWorld(replicas int) *world {
	w := &world{clock: clocktesting.NewFakePassiveClock(start)}
	// The caBundles of the two mutating webhooks change together.
	service := admissionregistrationv1.WebhookClientConfig{
		Service: &admissionregistrationv1.ServiceReference{Name: "webhook-service", Namespace: "system"},
	}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: configurations},
		Webhooks: []admissionregistrationv1.MutatingWebhook{
			{Name: "a", ClientConfig: service}, {Name: "b", ClientConfig: service},
		},
	}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: configurations},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "a", ClientConfig: service}},
	}
	w.client = fake.NewClientBuilder().WithObjects(mutating, validating).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			return w.write(func() error { return c.Create(ctx, object, options...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			return w.write(func() error { return c.Update(ctx, object, options...) })
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption,
		) error {
			return w.write(func() error { return c.Patch(ctx, object, patch, options...) })
		},
	}).Build()
	w.replicas, w.started = make([]*Rotator, replicas), make([]time.Time, replicas)
	for i := range replicas {
		w.restart(i)
	}
	return w
}

// restart starts a replica with an empty memory.
func (w *world) restart(replica int) {
	r := New(Options{
		Secret:                         secretKey,
		MutatingWebhookConfiguration:   configurations,
		ValidatingWebhookConfiguration: configurations,
		Clock:                          w.clock,
	})
	r.client, r.apiReader = w.client, w.client
	r.recorder, r.changes = &events.FakeRecorder{}, flowcontrol.NewFakeAlwaysRateLimiter()
	w.replicas[replica], w.started[replica] = r, w.clock.Now()
}

func (w *world) write(write func() error) error {
	w.writes++
	if w.writes != w.crashAt {
		return write()
	}
	if w.crashAfterWrite {
		return errors.Join(errCrash, write())
	}
	return errCrash
}

func (w *world) reconcile(t *testing.T, replica int) (reconcile.Result, error) {
	t.Helper()
	ctx := log.IntoContext(t.Context(), logr.Discard())
	return w.replicas[replica].Reconcile(ctx, reconcile.Request{NamespacedName: secretKey})
}

// pass runs a pass of a replica, and returns when the next one is due. A replica that crashes starts again with an
// empty memory.
func (w *world) pass(t *testing.T, replica int) time.Duration {
	t.Helper()
	result, err := w.reconcile(t, replica)
	if errors.Is(err, errCrash) {
		w.restart(replica)
	} else if err != nil {
		t.Fatal(err)
	}
	return result.RequeueAfter
}

func (w *world) advance(by time.Duration) { w.clock.SetTime(w.clock.Now().Add(by)) }

// bundles returns the caBundles of all webhooks.
func (w *world) bundles(t *testing.T) [][]byte {
	t.Helper()
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := errors.Join(
		w.client.Get(t.Context(), types.NamespacedName{Name: configurations}, mutating),
		w.client.Get(t.Context(), types.NamespacedName{Name: configurations}, validating),
	); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, config := range append(clientConfigs(mutating), clientConfigs(validating)...) {
		all = append(all, config.CABundle)
	}
	return all
}

// check fails the test if an API server with these caBundles refuses the certificate of a replica.
func (w *world) check(t *testing.T, bundles [][]byte) {
	t.Helper()
	for i, replica := range w.replicas {
		served := replica.serving.Load()
		if served == nil {
			continue // The replica isn't ready, so API servers don't call it.
		}
		for _, bundle := range bundles {
			if err := verify(served.certificate.Leaf, parseBundle(bundle), host, w.clock.Now()); err != nil {
				t.Fatalf("an API server doesn't trust the certificate of replica %d: %v", i, err)
			}
		}
	}
}

// checkAuthorities fails the test unless every caBundle has that many authorities.
func (w *world) checkAuthorities(t *testing.T, want int) {
	t.Helper()
	for i, bundle := range w.bundles(t) {
		if got := len(parseBundle(bundle)); got != want {
			t.Errorf("caBundle %d has %d authorities; want %d", i, got, want)
		}
	}
}

func (w *world) deleteSecret(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secretKey.Namespace, Name: secretKey.Name}}
	if err := client.IgnoreNotFound(w.client.Delete(t.Context(), secret)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := w.client.Get(t.Context(), secretKey, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestInstallation starts two replicas. They share one authority, and write nothing after that.
func TestInstallation(t *testing.T) {
	w := newWorld(2)
	if err := w.replicas[0].ready(nil); err == nil {
		t.Error("ready without a certificate")
	}
	w.pass(t, 0)
	w.pass(t, 1)
	for _, replica := range w.replicas {
		if err := replica.ready(nil); err != nil {
			t.Error(err)
		}
	}
	w.check(t, w.bundles(t))
	if secret := w.secret(t); secret.Type != corev1.SecretTypeTLS {
		t.Errorf("the Secret is of type %s", secret.Type)
	}
	writes := w.writes
	if writes != 3 {
		t.Errorf("%d writes; want 3, of the Secret and two configurations", writes)
	}
	if after := w.pass(t, 0); after != overlap {
		t.Errorf("the next pass is in %s; want %s, when the overlap ends", after, overlap)
	}
	w.advance(overlap)
	if after, want := w.pass(t, 0), 2*servingLifetime/3-overlap; after != want {
		t.Errorf("the next pass is in %s; want %s, when the certificate is due", after, want)
	}
	if w.writes != writes {
		t.Errorf("%d writes at rest", w.writes-writes)
	}
}

// TestRenewal renews the certificate. A renewal writes no object.
func TestRenewal(t *testing.T) {
	w := newWorld(1)
	after := w.pass(t, 0)
	w.advance(after)
	after = w.pass(t, 0)
	before, writes := w.replicas[0].serving.Load(), w.writes
	w.advance(after)
	w.pass(t, 0)
	renewed := w.replicas[0].serving.Load()
	if renewed == before {
		t.Fatal("the certificate wasn't renewed")
	}
	if !renewed.authority.Equal(before.authority) || w.writes != writes {
		t.Error("the renewal changed the authority, or wrote an object")
	}
	w.check(t, w.bundles(t))
}

// TestRotation replaces an authority that is due in an hour.
func TestRotation(t *testing.T) {
	w := newWorld(2)
	old := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: secretKey.Namespace, Name: secretKey.Name},
		Data:       mustMake(t, start.Add(time.Hour-(2*authorityLifetime-clockSkew)/3)),
	}
	if err := w.client.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if after := w.pass(t, 0); after != time.Hour {
		t.Errorf("the next pass is in %s; want 1h, when the authority is due", after)
	}
	w.pass(t, 1)
	w.advance(time.Hour)
	bundlesBefore := w.bundles(t)

	w.pass(t, 0)
	if bytes.Equal(w.secret(t).Data[corev1.TLSCertKey], old.Data[corev1.TLSCertKey]) {
		t.Fatal("the authority is the old one")
	}
	w.check(t, bundlesBefore) // API servers may not know the new authority yet.
	w.check(t, w.bundles(t))
	w.pass(t, 1)
	w.check(t, bundlesBefore)

	if after := w.pass(t, 0); after != propagationDelay {
		t.Errorf("the next pass is in %s; want %s, when API servers know the new authority", after, propagationDelay)
	}
	w.advance(propagationDelay)
	propagated := w.bundles(t)
	w.pass(t, 0) // Replica 1 still serves a certificate of the old authority, which is still trusted.
	w.check(t, propagated)
	w.check(t, w.bundles(t))
	w.pass(t, 1)
	w.check(t, propagated)

	w.advance(overlap)
	w.pass(t, 0)
	w.pass(t, 1)
	w.check(t, w.bundles(t))
	w.checkAuthorities(t, 1)
}

// TestExpiredAuthority replaces an expired authority. No certificate that it signed is valid, so the caBundles drop it
// at once.
func TestExpiredAuthority(t *testing.T) {
	w := newWorld(1)
	w.pass(t, 0)
	w.advance(authorityLifetime)
	w.pass(t, 0)
	w.check(t, w.bundles(t))
	w.checkAuthorities(t, 1)
}

// TestOneConfiguration deletes a webhook configuration, and creates it again much later.
func TestOneConfiguration(t *testing.T) {
	for _, deleted := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{},
		&admissionregistrationv1.ValidatingWebhookConfiguration{},
	} {
		t.Run(fmt.Sprintf("%T", deleted), func(t *testing.T) {
			w := newWorld(2)
			if err := w.client.Get(t.Context(), types.NamespacedName{Name: configurations}, deleted); err != nil {
				t.Fatal(err)
			}
			w.pass(t, 0)
			w.pass(t, 1)
			if err := w.client.Delete(t.Context(), deleted); err != nil {
				t.Fatal(err)
			}
			w.restart(0)
			w.pass(t, 0)
			w.advance(servingLifetime)
			w.pass(t, 0)
			w.pass(t, 1)
			for i, replica := range w.replicas {
				if err := replica.ready(nil); err != nil {
					t.Errorf("replica %d: %v", i, err)
				}
			}
			deleted.SetResourceVersion("")
			if err := w.client.Create(t.Context(), deleted); err != nil {
				t.Fatal(err)
			}
			w.pass(t, 0)
			w.check(t, w.bundles(t))
		})
	}
}

// TestNoConfiguration deletes both webhook configurations, so the hosts of the certificate are unknown.
func TestNoConfiguration(t *testing.T) {
	w := newWorld(1)
	for _, deleted := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: configurations}},
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: configurations}},
	} {
		if err := w.client.Delete(t.Context(), deleted); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.reconcile(t, 0); !apierrors.IsNotFound(err) {
		t.Errorf("got the error %v", err)
	}
	if err := w.replicas[0].ready(nil); err == nil {
		t.Error("ready without a webhook configuration")
	}
}

// TestCrash lets a replica crash before and after each of its writes.
func TestCrash(t *testing.T) {
	for crashAt := range 3 {
		for _, crashAfterWrite := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, done %t", crashAt+1, crashAfterWrite), func(t *testing.T) {
				w := newWorld(2)
				w.pass(t, 0)
				w.pass(t, 1)
				bundlesBefore := w.bundles(t)
				w.deleteSecret(t)
				w.crashAt, w.crashAfterWrite = w.writes+crashAt+1, crashAfterWrite
				w.pass(t, 0)
				if w.writes != w.crashAt {
					t.Fatalf("%d writes; the replica didn't crash", w.writes)
				}
				w.check(t, bundlesBefore)
				w.check(t, w.bundles(t))
				w.pass(t, 0)
				w.pass(t, 1)
				w.check(t, w.bundles(t))
				for i, replica := range w.replicas {
					if err := replica.ready(nil); err != nil {
						t.Errorf("replica %d: %v", i, err)
					}
				}
			})
		}
	}
}

// TestConflict lets replica 1 write the Secret after replica 0 has read it and before replica 0 writes it.
func TestConflict(t *testing.T) {
	w := newWorld(2)
	w.pass(t, 0)
	secret := w.secret(t)
	secret.Data = tlsData([]byte("x"), []byte("y"))
	if err := w.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	var once bool
	w.replicas[0].client = interceptor.NewClient(w.client, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			if !once {
				once = true
				w.pass(t, 1)
			}
			return c.Update(ctx, object, options...)
		},
	})
	w.catchUp(t)
}

// catchUp checks that replica 0 has a conflict, requeues after conflictDelay, and then trusts the same authority as
// replica 1. API servers accept the certificates of both replicas all the time.
func (w *world) catchUp(t *testing.T) {
	t.Helper()
	if after := w.pass(t, 0); after != conflictDelay {
		t.Errorf("the replica with the conflict requeues after %s; want %s", after, conflictDelay)
	}
	w.check(t, w.bundles(t))
	w.pass(t, 0)
	w.check(t, w.bundles(t))
	if !w.replicas[0].trusted.certificate.Equal(w.replicas[1].trusted.certificate) {
		t.Error("the replicas trust different authorities")
	}
}

// TestStaleCache lets replica 0 read the caBundles that replica 1 wrote, but a stale Secret.
func TestStaleCache(t *testing.T) {
	w := newWorld(2)
	w.pass(t, 0)
	w.pass(t, 1)
	w.advance(2 * overlap)
	w.pass(t, 0)
	old := w.secret(t)
	w.replicas[0].client = interceptor.NewClient(w.client, interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption,
		) error {
			if secret, ok := object.(*corev1.Secret); ok {
				old.DeepCopyInto(secret)
				return nil
			}
			return c.Get(ctx, key, object, options...)
		},
	})
	w.deleteSecret(t)
	w.pass(t, 1)
	before := w.bundles(t)
	w.pass(t, 0)
	if diff := cmp.Diff(before, w.bundles(t)); diff != "" {
		t.Errorf("the replica with the stale cache changed the caBundles: %s", diff)
	}
}

// TestConflictOfConfigurations lets replica 1 announce a new authority after replica 0 has read the configurations and
// before replica 0 writes them.
func TestConflictOfConfigurations(t *testing.T) {
	w := newWorld(2)
	var once bool
	w.replicas[0].client = interceptor.NewClient(w.client, interceptor.Funcs{
		Patch: func(
			ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption,
		) error {
			if !once {
				once = true
				w.deleteSecret(t)
				w.pass(t, 1)
			}
			return c.Patch(ctx, object, patch, options...)
		},
	})
	w.catchUp(t)
}

// TestUnknownSecret ends the overlap while a replica can't read the current Secret from the API server. The caBundles
// keep the old authority until the replica can.
func TestUnknownSecret(t *testing.T) {
	w := newWorld(1)
	w.pass(t, 0)
	w.deleteSecret(t)
	w.pass(t, 0)
	w.advance(2 * overlap)
	w.replicas[0].apiReader = interceptor.NewClient(w.client, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("no connection")
		},
	})
	w.pass(t, 0) // The replica starts to serve a certificate of the new authority.
	w.pass(t, 0)
	w.checkAuthorities(t, 2)

	w.replicas[0].apiReader = w.client
	w.pass(t, 0)
	w.checkAuthorities(t, 1)
}

// TestTooManyChanges removes a caBundle again and again.
func TestTooManyChanges(t *testing.T) {
	w := newWorld(1)
	w.replicas[0].changes = New(w.replicas[0].options).changes
	w.pass(t, 0)
	for range changeBurst - 2 { // The first pass changed two configurations.
		w.removeBundle(t)
		w.pass(t, 0)
	}
	w.removeBundle(t)
	if _, err := w.reconcile(t, 0); err == nil || apierrors.IsConflict(err) {
		t.Errorf("got the error %v", err)
	}
	w.advance(time.Minute)
	w.pass(t, 0)
	w.check(t, w.bundles(t))
}

func (w *world) removeBundle(t *testing.T) {
	t.Helper()
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Name: configurations}, validating); err != nil {
		t.Fatal(err)
	}
	validating.Webhooks[0].ClientConfig.CABundle = nil
	if err := w.client.Update(t.Context(), validating); err != nil {
		t.Fatal(err)
	}
}

// TestRandom runs passes and failures in random order. API servers accept every served certificate at any time, even if
// what they know is as old as propagationDelay.
func TestRandom(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // Not for keys.
			w := newWorld(3)
			known := w.bundles(t)
			for range 40 {
				switch random.IntN(12) {
				case 0:
					w.deleteSecret(t)
				case 1:
					w.restart(random.IntN(len(w.replicas)))
				case 2:
					w.crashAt, w.crashAfterWrite = w.writes+1+random.IntN(3), random.IntN(2) == 0
				case 3, 4: // All replicas pass, and then API servers see the caBundles.
					w.passAll(t)
					w.advance(propagationDelay)
					known = w.bundles(t)
				case 5:
					w.passAll(t)
					w.advance(time.Duration(random.Int64N(int64(servingLifetime / 3))))
					w.passAll(t)
					known = w.bundles(t)
				default:
					w.pass(t, random.IntN(len(w.replicas)))
				}
				w.check(t, w.bundles(t))
				w.checkStale(t, known)
			}
			w.crashAt = 0
			w.passAll(t)
			w.advance(max(propagationDelay, overlap))
			w.passAll(t)
			writes := w.writes
			w.passAll(t)
			if w.writes != writes {
				t.Errorf("%d writes at rest", w.writes-writes)
			}
		})
	}
}

func (w *world) passAll(t *testing.T) {
	t.Helper()
	for range 2 { // A replica that crashes in the first round passes in the second.
		for i := range w.replicas {
			w.pass(t, i)
		}
	}
}

// checkStale is check for API servers with stale caBundles. It skips replicas that started less than propagationDelay
// ago: such a replica has no older certificate that it could serve.
func (w *world) checkStale(t *testing.T, known [][]byte) {
	t.Helper()
	for i, replica := range w.replicas {
		served := replica.serving.Load()
		if served == nil || w.clock.Now().Before(w.started[i].Add(propagationDelay)) {
			continue
		}
		for _, bundle := range known {
			if err := verify(served.certificate.Leaf, parseBundle(bundle), host, w.clock.Now()); err != nil {
				t.Fatalf("an API server with stale caBundles doesn't trust the certificate of replica %d: %v", i, err)
			}
		}
	}
}
