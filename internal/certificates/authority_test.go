// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestReadAuthority(t *testing.T) {
	data, other := mustMake(t, start), mustMake(t, start)
	signed, err := mustRead(t, data, start).sign([]string{"server"}, start)
	if err != nil {
		t.Fatal(err)
	}
	renewalTime := start.Add((2*authorityLifetime - clockSkew) / 3)
	tests := []struct {
		name string
		data map[string][]byte
		now  time.Time
		want string // part of the error; no error if empty
	}{
		{name: "new", data: data, now: start},
		{name: "on a replica whose clock is behind by the skew", data: data, now: start.Add(-clockSkew)},
		{name: "on a replica whose clock is behind by more than the skew", data: data,
			now: start.Add(-clockSkew - time.Second), want: "isn't valid before"},
		{name: "just before its renewal is due", data: data, now: renewalTime.Add(-time.Second), want: ""},
		{name: "renewal due", data: data, now: renewalTime, want: "ends on 2036-11-18"},
		{name: "expired", data: data, now: start.Add(2 * authorityLifetime), want: "ends on 2036-11-18"},
		{name: "no data", now: start, want: "failed to find any PEM data"},
		{name: "garbage", data: tlsData([]byte("x"), []byte("y")), now: start, want: "failed to find any PEM data"},
		{name: "key of another authority", data: tlsData(data[corev1.TLSCertKey], other[corev1.TLSPrivateKeyKey]),
			now: start, want: "does not match"},
		{name: "a server's certificate", data: encode(t, signed.Leaf, signed.PrivateKey),
			now: start, want: "not one of an authority"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := readAuthority(test.data, test.now)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && err == nil:
				t.Errorf("no error; want %s", test.want)
			case test.want != "" && !strings.Contains(err.Error(), test.want):
				t.Errorf("got: %v; want: %s", err, test.want)
			}
		})
	}
}

func TestSign(t *testing.T) {
	made := mustRead(t, mustMake(t, start), start)
	certificate, err := made.sign([]string{"127.0.0.1", "lws-operator-webhook-service.lws-operator-system.svc"}, start)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certificate.Leaf
	if diff := cmp.Diff([]string{"lws-operator-webhook-service.lws-operator-system.svc"}, leaf.DNSNames); diff != "" {
		t.Error(diff)
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("the key is %T", leaf.PublicKey)
	}
	for host, want := range map[string]bool{
		"lws-operator-webhook-service.lws-operator-system.svc": true,
		"127.0.0.1":                    true,
		"lws-operator-webhook-service": false,
	} {
		if err := verify(leaf, []*x509.Certificate{made.certificate}, host, start); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := verify(leaf, nil, "127.0.0.1", start); err == nil {
		t.Error("the certificate is trusted without an authority")
	}
	if err := verify(leaf, []*x509.Certificate{made.certificate}, "127.0.0.1", start.Add(-24*time.Hour)); err != nil {
		t.Errorf("from a replica whose clock is a day ahead: %v", err)
	}
	for _, test := range []struct {
		name string
		now  time.Time
		want time.Time
	}{
		{"with a new authority", start, start.Add(90 * 24 * time.Hour)},
		{"an hour before the authority expires", made.certificate.NotAfter.Add(-time.Hour), made.certificate.NotAfter},
	} {
		certificate, err := made.sign(nil, test.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := certificate.Leaf.NotAfter; !got.Equal(test.want) {
			t.Errorf("%s: valid until %s; want %s", test.name, got, test.want)
		}
	}
}

// verify checks a certificate as an API server does whose caBundle has the trusted certificates.
func verify(leaf *x509.Certificate, trusted []*x509.Certificate, host string, now time.Time) error {
	roots := x509.NewCertPool()
	for _, certificate := range trusted {
		roots.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now})
	return err
}

func mustMake(t *testing.T, now time.Time) map[string][]byte {
	t.Helper()
	data, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustRead(t *testing.T, data map[string][]byte, now time.Time) *authority {
	t.Helper()
	read, err := readAuthority(data, now)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func encode(t *testing.T, certificate *x509.Certificate, key any) map[string][]byte {
	t.Helper()
	encoded, err := certutil.EncodeCertificates(certificate)
	if err != nil {
		t.Fatal(err)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is %T", key)
	}
	encodedKey, err := keyutil.MarshalPrivateKeyToPEM(private)
	if err != nil {
		t.Fatal(err)
	}
	return tlsData(encoded, encodedKey)
}

func tlsData(certificate, key []byte) map[string][]byte {
	return map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key}
}
