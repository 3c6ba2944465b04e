// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	day = 24 * time.Hour

	// authorityLifetime is long because a new authority changes the webhook configurations.
	authorityLifetime = 10 * 365 * day

	// servingLifetime is the default of cert-manager. A renewal is cheap: it writes no object, and no other process needs
	// to know.
	servingLifetime = 90 * day

	// clockSkew is how far the clocks of replicas and API servers may differ. The validity of a certificate starts that
	// much before it is made.
	clockSkew = day
)

// authority signs certificates for servers.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes an authority. It returns the data of its Secret, for readAuthority.
func newAuthority(now time.Time) (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lws-operator webhooks"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	certificatePEM, err := certutil.EncodeCertificates(certificate)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{corev1.TLSCertKey: certificatePEM, corev1.TLSPrivateKeyKey: keyPEM}, nil
}

// readAuthority reads the authority from the data of a Secret. The error says why a new authority is needed: the data
// has none, its certificate isn't one of an authority, or its renewal is due. At renewal a third of its lifetime is
// left, so the certificates that it has signed stay valid for long enough.
func readAuthority(data map[string][]byte, now time.Time) (*authority, error) {
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	switch {
	case !ok:
		return nil, errors.New("the key can't sign")
	case !pair.Leaf.IsCA:
		return nil, errors.New("the certificate is not one of an authority")
	case now.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("the certificate isn't valid before %s", pair.Leaf.NotBefore)
	case !now.Before(renewal(pair.Leaf.NotBefore, pair.Leaf.NotAfter)):
		return nil, fmt.Errorf("the certificate ends on %s", pair.Leaf.NotAfter)
	}
	return &authority{certificate: pair.Leaf, key: key}, nil
}

// sign makes a certificate for a server at the hosts, which are DNS names or IP addresses. The certificate never
// outlives the authority.
func (a *authority) sign(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lws-operator"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              earliest(now.Add(servingLifetime), a.certificate.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// renewal returns when to replace a certificate: when a third of its lifetime is left.
func renewal(from, until time.Time) time.Time {
	return until.Add(-until.Sub(from) / 3)
}

func earliest(times ...time.Time) time.Time {
	first := times[0]
	for _, t := range times[1:] {
		if t.Before(first) {
			first = t
		}
	}
	return first
}
