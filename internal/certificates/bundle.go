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

// overlap is how long authorities stay trusted after this replica has seen that another one is. By then, every replica serves what the new one
// has signed, and API servers that started a day ago know it.
const overlap = day

// bundle is a caBundle with all of the wanted certificates. Of the existing one, it has those that are wanted or to be kept, in the order they
// are in, so that replicas that want different ones agree. If nothing is to change, it is the existing one.
func bundle(existing []byte, wanted []*x509.Certificate, keep func(*x509.Certificate) bool) ([]byte, error) {
	found := parseBundle(existing)
	var trusted []*x509.Certificate
	for _, certificate := range found {
		if slices.ContainsFunc(wanted, certificate.Equal) || keep(certificate) {
			trusted = append(trusted, certificate)
		}
	}
	for _, certificate := range wanted {
		if !slices.ContainsFunc(trusted, certificate.Equal) {
			trusted = append(trusted, certificate)
		}
	}
	if slices.EqualFunc(found, trusted, (*x509.Certificate).Equal) {
		return existing, nil
	}
	return certutil.EncodeCertificates(trusted...)
}

// parseBundle are the certificates in a caBundle. What is none is left out: the API server makes nothing of it either.
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

// hostsOf are the names and addresses at which the API server calls webhooks, sorted: the certificate has to be for them.
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
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
