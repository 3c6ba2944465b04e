// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	// shortValidity is less than the 12 hours of the alert, longValidity is what cert-manager asks for.
	shortValidity, longValidity = 10 * time.Hour, 90 * 24 * time.Hour
)

// certificateFromOutside starts the second replica with a certificate from files, as cert-manager and OLM provide it.
// The operator doesn't renew that one.
func certificateFromOutside(ctx context.Context, b *bed) error {
	r := b.replicas[1]
	text, err := os.ReadFile(r.ConfigFile())
	if err != nil {
		return err
	}
	before, after, _ := strings.Cut(string(text), "    authority:\n")
	_, after, _ = strings.Cut(after, "metrics:\n")
	var config strings.Builder
	fmt.Fprintf(&config, "%s    files: {directory: %s}\nmetrics:\n  certificateDirectory: %[2]s\n", before, r.Dir())
	for line := range strings.Lines(after) {
		if !strings.Contains(line, "serviceName") && !strings.Contains(line, "authorityConfigMap") {
			config.WriteString(line)
		}
	}
	return errors.Join(b.issue(ctx, r, shortValidity), os.WriteFile(r.ConfigFile(), []byte(config.String()), 0o600),
		r.replace(ctx))
}

// renewCertificate replaces the files of the certificate.
func renewCertificate(ctx context.Context, b *bed) error {
	return b.issue(ctx, b.replicas[1], longValidity)
}

// issue writes a certificate for a replica that the operator's own authority signs.
func (b *bed) issue(ctx context.Context, r *replica, validity time.Duration) error {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: operator.Namespace, Name: "lws-webhook-authority"}
	if err := b.api.Get(ctx, key, &secret); err != nil {
		return err
	}
	authority, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: b.access.ServerName},
		DNSNames:  []string{b.access.ServerName, "lws-operator-webhook-service." + operator.Namespace + ".svc"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority.Leaf, private.Public(), authority.PrivateKey)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(r.Dir(), "tls.key"), "PRIVATE KEY", encoded),
		writePEM(filepath.Join(r.Dir(), "tls.crt"), "CERTIFICATE", certificate))
}

func writePEM(file, kind string, content []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
