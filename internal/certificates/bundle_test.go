// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// TestBundle describes caBundles by letters: a letter stands for an authority, and "?" for text that isn't a
// certificate.
func TestBundle(t *testing.T) {
	tests := []struct {
		name                    string
		existing, desired, keep string
		want                    string
	}{
		{name: "the first authority", desired: "a", want: "a"},
		{name: "no change", existing: "a", desired: "a", want: "a"},
		{name: "a new authority follows the old one", existing: "a", desired: "b", keep: "a", want: "ab"},
		{name: "both are desired, in another order", existing: "ab", desired: "ba", want: "ab"},
		{name: "the old authority isn't needed any more", existing: "ab", desired: "b", want: "b"},
		{name: "two old authorities are kept, in any order", existing: "cab", desired: "b", keep: "ac", want: "cab"},
		{name: "deleted while both are desired", desired: "ba", want: "ba"},
		{name: "a foreign authority is kept", existing: "x", desired: "a", keep: "x", want: "xa"},
		{name: "a duplicate", existing: "aab", desired: "ab", want: "aab"},
		{name: "garbage", existing: "?", desired: "a", want: "a"},
		{name: "garbage stays without another change", existing: "?a?", desired: "a", want: "?a?"},
		{name: "garbage is dropped by another change", existing: "?a?", desired: "b", keep: "a", want: "ab"},
	}
	encoded := map[rune]string{'?': "garbage\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
	certificates := map[rune]*x509.Certificate{}
	for _, letter := range "abcx" {
		data := mustMake(t, start)
		encoded[letter] = string(data[corev1.TLSCertKey])
		certificates[letter] = mustRead(t, data, start).certificate
	}
	encodeAll := func(letters string) string {
		var text strings.Builder
		for _, letter := range letters {
			text.WriteString(encoded[letter])
		}
		return text.String()
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var desired []*x509.Certificate
			for _, letter := range test.desired {
				desired = append(desired, certificates[letter])
			}
			keep := func(certificate *x509.Certificate) bool {
				return strings.ContainsFunc(test.keep, func(letter rune) bool {
					return certificates[letter].Equal(certificate)
				})
			}
			got, err := bundle([]byte(encodeAll(test.existing)), desired, keep)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(encodeAll(test.want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHostsOf(t *testing.T) {
	service := &admissionregistrationv1.ServiceReference{
		Name: "lws-operator-webhook-service", Namespace: "lws-operator-system",
	}
	got := hostsOf([]*admissionregistrationv1.WebhookClientConfig{
		{Service: service},
		{URL: ptr.To("https://127.0.0.1:9443/mutate")},
		{Service: service},
		{URL: ptr.To("https://[::1]/validate")},
		{URL: ptr.To("://")},
		{},
	})
	want := []string{"127.0.0.1", "::1", "lws-operator-webhook-service.lws-operator-system.svc"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
