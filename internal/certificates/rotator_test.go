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

// errCrash is what a write comes to whose replica dies at that moment.
var errCrash = errors.New("the replica dies")

// world is a cluster with replicas.
type world struct {
	client   client.WithWatch
	clock    *clocktesting.FakePassiveClock
	replicas []*Rotator
	started  []time.Time // of replicas

	writes    int
	crashAt   int  // number of the write at which a replica dies; none if 0
	afterward bool // whether that write is still done
}

func newWorld(replicas int) *world {
	w := &world{clock: clocktesting.NewFakePassiveClock(start)}
	// Two webhooks in each: their caBundles are changed together.
	service := admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Name: "webhook-service", Namespace: "system"}}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: configurations},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{{Name: "a", ClientConfig: service}, {Name: "b", ClientConfig: service}},
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
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return w.write(func() error { return c.Patch(ctx, object, patch, options...) })
		},
	}).Build()
	w.replicas, w.started = make([]*Rotator, replicas), make([]time.Time, replicas)
	for i := range replicas {
		w.restart(i)
	}
	return w
}

// restart starts a replica, with nothing in its memory.
func (w *world) restart(replica int) {
	r := New(Options{
		Secret:                         secretKey,
		MutatingWebhookConfiguration:   configurations,
		ValidatingWebhookConfiguration: configurations,
		Clock:                          w.clock,
	})
	r.client, r.live, r.recorder, r.changes = w.client, w.client, &events.FakeRecorder{}, flowcontrol.NewFakeAlwaysRateLimiter()
	w.replicas[replica], w.started[replica] = r, w.clock.Now()
}

func (w *world) write(write func() error) error {
	w.writes++
	if w.writes != w.crashAt {
		return write()
	}
	if w.afterward {
		return errors.Join(errCrash, write())
	}
	return errCrash
}

func (w *world) reconcile(t *testing.T, replica int) (reconcile.Result, error) {
	t.Helper()
	ctx := log.IntoContext(t.Context(), logr.Discard())
	return w.replicas[replica].Reconcile(ctx, reconcile.Request{NamespacedName: secretKey})
}

// pass has a replica make a pass. One that dies starts again, with nothing in its memory.
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

// bundles are the caBundles of all webhooks.
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

// check fails the test if a replica serves what an API server refuses that knows these caBundles.
func (w *world) check(t *testing.T, bundles [][]byte) {
	t.Helper()
	for i, replica := range w.replicas {
		served := replica.serving.Load()
		if served == nil {
			continue // Not ready: nobody calls it.
		}
		for _, bundle := range bundles {
			if err := verify(served.certificate.Leaf, parseBundle(bundle), host, w.clock.Now()); err != nil {
				t.Fatalf("replica %d serves what isn't trusted: %v", i, err)
			}
		}
	}
}

// checkAuthorities fails the test if a caBundle hasn't that many authorities.
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

// TestFirst is the story of an installation: one authority for both replicas, then no write.
func TestFirst(t *testing.T) {
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
		t.Errorf("the next pass is in %s; want one when others aren't trusted any more, in %s", after, overlap)
	}
	w.advance(overlap)
	if after, want := w.pass(t, 0), 2*servingLifetime/3-overlap; after != want {
		t.Errorf("the next pass is in %s; want one when the certificate is due, in %s", after, want)
	}
	if w.writes != writes {
		t.Errorf("%d writes at rest", w.writes-writes)
	}
}

// TestRenewal is the story of the certificate: it is renewed without a write.
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
		t.Error("renewing the certificate took another authority, or a write")
	}
	w.check(t, w.bundles(t))
}

// TestRotation is the story of an authority whose time is over in an hour.
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
		t.Errorf("the next pass is in %s; want one when the authority is due, in an hour", after)
	}
	w.pass(t, 1)
	w.advance(time.Hour)
	asBefore := w.bundles(t)

	w.pass(t, 0)
	if bytes.Equal(w.secret(t).Data[corev1.TLSCertKey], old.Data[corev1.TLSCertKey]) {
		t.Fatal("the authority is the old one")
	}
	w.check(t, asBefore) // API servers may not know yet.
	w.check(t, w.bundles(t))
	w.pass(t, 1)
	w.check(t, asBefore)

	if after := w.pass(t, 0); after != settling {
		t.Errorf("the next pass is in %s; want one when API servers know the new authority, in %s", after, settling)
	}
	w.advance(settling)
	settled := w.bundles(t)
	w.pass(t, 0) // The other one is late, and still trusted.
	w.check(t, settled)
	w.check(t, w.bundles(t))
	w.pass(t, 1)
	w.check(t, settled)

	w.advance(overlap)
	w.pass(t, 0)
	w.pass(t, 1)
	w.check(t, w.bundles(t))
	w.checkAuthorities(t, 1)
}

// TestExpiredAuthority has an authority end before there is another one: nothing that it has signed is worth keeping it for.
func TestExpiredAuthority(t *testing.T) {
	w := newWorld(1)
	w.pass(t, 0)
	w.advance(authorityLifetime)
	w.pass(t, 0)
	w.check(t, w.bundles(t))
	w.checkAuthorities(t, 1)
}

// TestOneConfiguration has an administrator delete a webhook configuration, and make it again long after.
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

// TestNoConfiguration has nothing to say what the certificate is for.
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
		t.Error("ready")
	}
}

// TestCrash has a replica die before and after each of its writes.
func TestCrash(t *testing.T) {
	for crashAt := range 3 {
		for _, afterward := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d done %t", crashAt+1, afterward), func(t *testing.T) {
				w := newWorld(2)
				w.pass(t, 0)
				w.pass(t, 1)
				asBefore := w.bundles(t)
				w.deleteSecret(t)
				w.crashAt, w.afterward = w.writes+crashAt+1, afterward
				w.pass(t, 0)
				if w.writes != w.crashAt {
					t.Fatalf("%d writes; none at which it dies", w.writes)
				}
				w.check(t, asBefore)
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

// TestLate has another replica write between what a pass reads and what it writes.
func TestLate(t *testing.T) {
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

// catchUp has replica 0 be late, look again a moment later, and trust what replica 1 does; no pass breaks the webhooks.
func (w *world) catchUp(t *testing.T) {
	t.Helper()
	if after := w.pass(t, 0); after != moment {
		t.Errorf("the replica that was late looks again in %s", after)
	}
	w.check(t, w.bundles(t))
	w.pass(t, 0)
	w.check(t, w.bundles(t))
	if !w.replicas[0].trusted.certificate.Equal(w.replicas[1].trusted.certificate) {
		t.Error("the replicas trust different authorities")
	}
}

// TestLateCache has a replica see the caBundles, but not the Secret, that another one has written.
func TestLateCache(t *testing.T) {
	w := newWorld(2)
	w.pass(t, 0)
	w.pass(t, 1)
	w.advance(2 * overlap)
	w.pass(t, 0)
	old := w.secret(t)
	w.replicas[0].client = interceptor.NewClient(w.client, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
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
		t.Errorf("the replica that is late has changed the caBundles: %s", diff)
	}
}

// TestLatePatch has another replica announce another authority between what a pass reads of the configurations and what it writes.
func TestLatePatch(t *testing.T) {
	w := newWorld(2)
	var once bool
	w.replicas[0].client = interceptor.NewClient(w.client, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
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

// TestUnknownSecret has a replica that can't ask the API server what the Secret is now, when the authority before could be forgotten.
func TestUnknownSecret(t *testing.T) {
	w := newWorld(1)
	w.pass(t, 0)
	w.deleteSecret(t)
	w.pass(t, 0)
	w.advance(2 * overlap)
	w.replicas[0].live = interceptor.NewClient(w.client, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("no connection")
		},
	})
	w.pass(t, 0) // Serves what the new authority has signed.
	w.pass(t, 0)
	w.checkAuthorities(t, 2)

	w.replicas[0].live = w.client
	w.pass(t, 0)
	w.checkAuthorities(t, 1)
}

// TestTooOften has somebody else remove a caBundle again and again.
func TestTooOften(t *testing.T) {
	w := newWorld(1)
	w.replicas[0].changes = New(w.replicas[0].options).changes
	w.pass(t, 0)
	for range changeBurst - 2 { // The first pass has changed two configurations.
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

// TestRandom has things happen in any order, and no replica ever serve what isn't trusted. What API servers know is as old as settling.
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
					w.crashAt, w.afterward = w.writes+1+random.IntN(3), random.IntN(2) == 0
				case 3, 4: // Everybody sees what there is, and API servers learn of it.
					w.everybodyPasses(t)
					w.advance(settling)
					known = w.bundles(t)
				case 5:
					w.everybodyPasses(t)
					w.advance(time.Duration(random.Int64N(int64(servingLifetime / 3))))
					w.everybodyPasses(t)
					known = w.bundles(t)
				default:
					w.pass(t, random.IntN(len(w.replicas)))
				}
				w.check(t, w.bundles(t))
				w.checkSettled(t, known)
			}
			w.crashAt = 0
			w.everybodyPasses(t)
			w.advance(max(settling, overlap))
			w.everybodyPasses(t)
			writes := w.writes
			w.everybodyPasses(t)
			if w.writes != writes {
				t.Errorf("%d writes at rest", w.writes-writes)
			}
		})
	}
}

func (w *world) everybodyPasses(t *testing.T) {
	t.Helper()
	for range 2 { // Another one for replicas that die.
		for i := range w.replicas {
			w.pass(t, i)
		}
	}
}

// checkSettled is check for API servers that are late. Replicas that just started, with nothing to go on with, aren't ready for them yet.
func (w *world) checkSettled(t *testing.T, known [][]byte) {
	t.Helper()
	for i, replica := range w.replicas {
		served := replica.serving.Load()
		if served == nil || w.clock.Now().Before(w.started[i].Add(settling)) {
			continue
		}
		for _, bundle := range known {
			if err := verify(served.certificate.Leaf, parseBundle(bundle), host, w.clock.Now()); err != nil {
				t.Fatalf("replica %d serves what an API server doesn't know yet: %v", i, err)
			}
		}
	}
}
