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

	// authorityLifetime is long, since a new authority changes the webhook configurations.
	authorityLifetime = 10 * 365 * day

	// servingLifetime is what cert-manager gives certificates, too. Renewing costs nothing: no write, and nobody has to be told.
	servingLifetime = 90 * day

	// clockSkew is how far the clocks of replicas and API servers may be apart: certificates are valid that much earlier than they are made.
	clockSkew = day
)

// authority signs certificates for servers.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes an authority, and the data of a Secret that it can be read from.
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

// readAuthority reads the authority from the data of a Secret. An error says why there has to be another one: there is none, it is no
// authority, or its time is over. A third of its life is left then, so that what it has signed is good for long enough.
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

// sign makes a certificate for a server at the hosts, names or IP addresses. It ends with the authority at the latest.
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

// renewal is when a certificate has to be replaced: a third of its life is left.
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
