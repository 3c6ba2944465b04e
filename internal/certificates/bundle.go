// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	certutil "k8s.io/client-go/util/cert"
)

// overlap is how long old authorities stay trusted after this replica found the new one trusted. By then, every replica
// serves a certificate of the new authority, and API servers that started a day ago know it.
const overlap = day

// bundle returns a caBundle with all desired certificates. It keeps the certificates of the existing caBundle that are
// desired or that keep accepts. Their order stays, so that replicas that desire different certificates agree. Without a
// change, bundle returns the existing bytes.
func bundle(existing []byte, desired []*x509.Certificate, keep func(*x509.Certificate) bool) ([]byte, error) {
	found := parseBundle(existing)
	var trusted []*x509.Certificate
	for _, certificate := range found {
		if slices.ContainsFunc(desired, certificate.Equal) || keep(certificate) {
			trusted = append(trusted, certificate)
		}
	}
	for _, certificate := range desired {
		if !slices.ContainsFunc(trusted, certificate.Equal) {
			trusted = append(trusted, certificate)
		}
	}
	if slices.EqualFunc(found, trusted, (*x509.Certificate).Equal) {
		return existing, nil
	}
	return certutil.EncodeCertificates(trusted...)
}

// parseBundle returns the certificates in a caBundle. It skips everything else, as the API server does.
func parseBundle(encoded []byte) []*x509.Certificate {
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, encoded = pem.Decode(encoded); block == nil {
			return found
		}
		if block.Type != certutil.CertificateBlockType || len(block.Headers) > 0 {
			continue
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = append(found, certificate)
		}
	}
}

// hostsOf returns the sorted names and addresses at which the API server calls webhooks. The certificate has to cover
// them.
func hostsOf(called []*admissionregistrationv1.WebhookClientConfig) []string {
	var hosts []string
	for _, config := range called {
		if config.Service != nil {
			hosts = append(hosts, config.Service.Name+"."+config.Service.Namespace+".svc")
		} else if config.URL != nil {
			if address, err := url.Parse(*config.URL); err == nil {
				hosts = append(hosts, address.Hostname())
			}
		}
	}
	return merged(hosts)
}

// merged returns the sorted hosts of all lists.
func merged(lists ...[]string) []string {
	hosts := slices.Concat(lists...)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
