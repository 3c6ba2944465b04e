// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

// sample is a metric of a set. Only the elected replica has it.
const sample = "\nleaderworkerset_spec_replicas{"

// checkAccess reads both replicas: both serve metrics of their process, and one those of sets. Without a token, with a
// wrong one or without the operator's authority there is no answer. There must be a set.
func (b *bed) checkAccess(ctx context.Context) error {
	return objects.Until(ctx, patience, func(ctx context.Context) error {
		withSets := 0
		for _, r := range b.replicas {
			text, err := b.scrape(ctx, r.MetricsAddress(), b.access.Token, b.access.Authority)
			if err != nil {
				return err
			}
			if !bytes.Contains(text, []byte("\nlws_operator_build_info{")) {
				return fmt.Errorf("the replica %s doesn't report its version", r.MetricsAddress())
			}
			if bytes.Contains(text, []byte(sample)) {
				withSets++
			}
			if err := b.checkRefused(ctx, r.MetricsAddress()); err != nil {
				return err
			}
		}
		if withSets != 1 {
			return fmt.Errorf("%d replicas report sets, want the elected one alone", withSets)
		}
		return nil
	})
}

// checkRefused checks that a replica answers nobody whom it shouldn't, and that its certificate is verified.
func (b *bed) checkRefused(ctx context.Context, address string) error {
	for _, token := range [][]byte{nil, []byte("wrong")} {
		if _, err := b.scrape(ctx, address, token, b.access.Authority); !errors.Is(err, errRefused) {
			return fmt.Errorf("a client with the token %q isn't refused: %w", token, err)
		}
	}
	var unknown *tls.CertificateVerificationError
	if _, err := b.scrape(ctx, address, b.access.Token, nil); !errors.As(err, &unknown) {
		return fmt.Errorf("a client without the authority isn't warned: %w", err)
	}
	return nil
}

var errRefused = errors.New("refused")

// scrape reads the metrics of a replica as Prometheus does.
func (b *bed) scrape(ctx context.Context, address string, token, authority []byte) ([]byte, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: b.access.ServerName, MinVersion: tls.VersionTLS12},
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+b.access.Path, nil)
	if err != nil {
		return nil, err
	}
	if token != nil {
		request.Header.Set("Authorization", "Bearer "+string(token))
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, errRefused
	}
	return io.ReadAll(response.Body)
}
