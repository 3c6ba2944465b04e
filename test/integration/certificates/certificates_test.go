// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// dueIn is the time after which the authorities of the tests are due for rotation.
	dueIn = time.Minute
	// propagationTime is longer than the operator waits for API servers to read a new authority. retirementTime is longer
	// than the operator trusts the old one.
	propagationTime, retirementTime = 2 * time.Minute, 25 * time.Hour
)

// TestInstall starts two replicas at the same time. Both serve certificates of the same authority.
func TestInstall(t *testing.T) {
	for _, test := range []struct {
		name   string
		secret map[string][]byte
	}{
		{"without a Secret", nil},
		{"with garbage in the Secret", map[string][]byte{"tls.crt": []byte("garbage")}},
		{"with an expired authority", newAuthority(t, time.Now().Add(-time.Hour))},
	} {
		t.Run(test.name, func(t *testing.T) {
			installed := install(t, test.secret)
			for _, replica := range installed.replicas {
				until(t, replica.verify)
			}
			first := authority(t)
			if bytes.Equal(first, test.secret[corev1.TLSCertKey]) {
				t.Error("the unusable authority was kept")
			}
			known, err := bundles(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]byte{first, first}, known); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRotation replaces the authority while the API server calls the webhooks. No call fails.
func TestRotation(t *testing.T) {
	for _, test := range []struct {
		name string
		// change makes a new authority necessary.
		change func(*testing.T, *installation)
	}{
		{"due", func(t *testing.T, i *installation) {
			t.Helper()
			i.advance(t, 2*dueIn)
		}},
		{"Secret deleted", func(t *testing.T, _ *installation) {
			t.Helper()
			secret := &corev1.Secret{}
			secret.Namespace, secret.Name = secretKey.Namespace, secretKey.Name
			if err := suite.client.Delete(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}},
		{"garbage in the Secret", func(t *testing.T, _ *installation) {
			t.Helper()
			secret := &corev1.Secret{}
			secret.Namespace, secret.Name = secretKey.Namespace, secretKey.Name
			garbage := client.RawPatch(types.MergePatchType, []byte(`{"data": {"tls.crt": "AAAA", "tls.key": null}}`))
			if err := suite.client.Patch(t.Context(), secret, garbage); err != nil {
				t.Fatal(err)
			}
		}},
		{"another authority in the Secret", func(t *testing.T, _ *installation) {
			t.Helper()
			secret := &corev1.Secret{}
			if err := suite.client.Get(t.Context(), secretKey, secret); err != nil {
				t.Fatal(err)
			}
			secret.Data = newAuthority(t, time.Now().Add(60*time.Hour))
			if err := suite.client.Update(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// An authority is due when a third of its validity remains.
			i := install(t, newAuthority(t, time.Now().Add(24*time.Hour+dueIn)))
			old := authority(t)
			stop := i.keepAdmitting(t)
			i.admitMore(t)
			test.change(t, i)
			until(t, func(ctx context.Context) error { return trusted(ctx, 2) })
			i.admitMore(t)
			current := authority(t)
			if bytes.Equal(current, old) {
				t.Fatal("the authority wasn't replaced")
			}
			for _, replica := range i.replicas {
				if _, err := replica.connect(t.Context(), old); err != nil {
					t.Errorf("before API servers have the new authority: %v", err)
				}
			}
			i.advance(t, propagationTime)
			until(t, func(ctx context.Context) error { return i.serve(ctx, current) })
			i.admitMore(t)
			i.advance(t, retirementTime)
			until(t, func(ctx context.Context) error { return trusted(ctx, 1) })
			i.admitMore(t)
			stop()
		})
	}
}

// TestRetirementWithoutRights takes the right to get the Secret from the operator. An earlier authority stays trusted,
// and the log says why, until the operator has that right. test/integration/security drops all other rights.
func TestRetirementWithoutRights(t *testing.T) {
	i := install(t, newAuthority(t, time.Now().Add(60*time.Hour)))
	if err := suite.client.Delete(t.Context(), newSecret(nil)); err != nil {
		t.Fatal(err)
	}
	until(t, func(ctx context.Context) error { return trusted(ctx, 2) })
	current := authority(t)
	i.advance(t, propagationTime)
	until(t, func(ctx context.Context) error { return i.serve(ctx, current) })
	restore := dropRight(t, "secrets", "get")
	until(t, deniedToGetSecret)
	i.advance(t, retirementTime)
	until(t, func(context.Context) error {
		if !strings.Contains(i.logged(), `cannot get resource "secrets"`) {
			return errors.New("the log doesn't say what is missing")
		}
		return nil
	})
	if err := trusted(t.Context(), 2); err != nil {
		t.Error(err)
	}
	restore()
	i.advance(t, time.Minute)
	until(t, func(ctx context.Context) error { return trusted(ctx, 1) })
}

// deniedToGetSecret returns an error unless the API server denies the operator to get the Secret.
func deniedToGetSecret(ctx context.Context) error {
	options := client.Options{Scheme: suite.client.Scheme(), Mapper: suite.client.RESTMapper()}
	operator, err := client.New(asOperator(), options)
	if err != nil {
		return err
	}
	if err := operator.Get(ctx, secretKey, &corev1.Secret{}); !apierrors.IsForbidden(err) {
		return fmt.Errorf("the operator may still get its Secret: %w", err)
	}
	return nil
}

// dropRight takes the right to a verb from the operator's Role, and returns a function that gives it back.
func dropRight(t *testing.T, resource, verb string) (restore func()) {
	t.Helper()
	role := &rbacv1.Role{}
	role.Namespace, role.Name = secretKey.Namespace, "lws-operator-webhook-authority-role"
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(role), role); err != nil {
		t.Fatal(err)
	}
	write := func(rules []rbacv1.PolicyRule) {
		t.Helper()
		role.Rules = rules
		if err := suite.client.Update(context.WithoutCancel(t.Context()), role); err != nil {
			t.Fatal(err)
		}
	}
	granted := role.DeepCopy().Rules
	for n := range role.Rules {
		if rule := &role.Rules[n]; slices.Contains(rule.Resources, resource) {
			rule.Verbs = slices.DeleteFunc(rule.Verbs, func(granted string) bool { return granted == verb })
		}
	}
	write(role.Rules)
	restored := false
	restore = func() {
		t.Helper()
		if !restored {
			restored = true
			write(granted)
		}
	}
	t.Cleanup(restore)
	return restore
}

// TestBundleRemoved removes the caBundle of the webhook configurations. The operator restores it.
func TestBundleRemoved(t *testing.T) {
	i := install(t, nil)
	want := authority(t)
	for n, configuration := range []client.Object{suite.mutating.DeepCopy(), suite.validating.DeepCopy()} {
		removal := client.RawPatch(types.JSONPatchType,
			[]byte(`[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`))
		if err := suite.client.Patch(t.Context(), configuration, removal); err != nil {
			t.Fatal(err)
		}
		until(t, func(ctx context.Context) error {
			known, err := bundles(ctx)
			if err == nil && !bytes.Equal(known[n], want) {
				err = errors.New("the caBundle hasn't been restored")
			}
			return err
		})
	}
	i.untilReady(t)
}

// TestApply applies the manifests again, by client-side and by server-side apply. Nothing changes, and the caBundles of
// the operator stay.
func TestApply(t *testing.T) {
	reset(t)
	i := newInstallation(t)
	const versionsOf = `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`
	apply := func(flags ...string) (versions string) {
		t.Helper()
		for _, args := range [][]string{
			append([]string{"apply", "--filename", suite.manifests}, flags...),
			{"get", "--filename", suite.manifests, "--output", versionsOf},
		} {
			var err error
			if versions, err = kubectl(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
		}
		return versions
	}
	apply()
	for _, replica := range i.replicas {
		i.start(t, replica)
	}
	until(t, func(ctx context.Context) error {
		return errors.Join(trusted(ctx, 1), i.replicas[0].ready(ctx), i.replicas[1].ready(ctx))
	})
	first := apply()
	if diff := cmp.Diff(first, apply()); diff != "" {
		t.Error(diff)
	}
	// The first server-side apply takes fields over from the client-side apply of kubectl.
	first = apply("--server-side", "--force-conflicts")
	if diff := cmp.Diff(first, apply("--server-side")); diff != "" {
		t.Error(diff)
	}
	if err := trusted(t.Context(), 1); err != nil {
		t.Error(err)
	}
	// The certificate is valid for the two Services alone.
	for _, replica := range i.replicas {
		_, err := replica.connect(t.Context(), authority(t))
		var wrongName x509.HostnameError
		if !errors.As(err, &wrongName) {
			t.Fatalf("connection by address: %v; want a wrong host name", err)
		}
		names := []string{
			"lws-operator-controller-manager-metrics-service.lws-operator-system.svc",
			"lws-operator-webhook-service.lws-operator-system.svc",
		}
		if diff := cmp.Diff(names, slices.Sorted(slices.Values(wrongName.Certificate.DNSNames))); diff != "" {
			t.Error(diff)
		}
	}
}

// authority returns the certificate of the authority in the Secret.
func authority(t *testing.T) []byte {
	t.Helper()
	secret := &corev1.Secret{}
	if err := suite.client.Get(t.Context(), secretKey, secret); err != nil {
		t.Fatal(err)
	}
	return secret.Data[corev1.TLSCertKey]
}

// trusted returns an error unless each caBundle has this number of authorities.
func trusted(ctx context.Context, want int) error {
	known, err := bundles(ctx)
	if err != nil {
		return err
	}
	for _, bundle := range known {
		if got := bytes.Count(bundle, []byte("BEGIN CERTIFICATE")); got != want {
			return fmt.Errorf("%d authorities are trusted, want %d", got, want)
		}
	}
	return nil
}

// serve returns an error unless all replicas serve certificates of the authority.
func (i *installation) serve(ctx context.Context, authority []byte) error {
	for _, replica := range i.replicas {
		if _, err := replica.connect(ctx, authority); err != nil {
			return err
		}
	}
	return nil
}

// newAuthority returns the data of a Secret with an authority that is valid for three days, until the given time.
func newAuthority(t *testing.T, until time.Time) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             until.Add(-72 * time.Hour),
		NotAfter:              until,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certificatePEM, err := certutil.EncodeCertificates(certificate)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{corev1.TLSCertKey: certificatePEM, corev1.TLSPrivateKeyKey: keyPEM}
}
