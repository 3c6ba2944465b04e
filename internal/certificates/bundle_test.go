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

// Letters stand for authorities, "?" for text that is none.
func TestBundle(t *testing.T) {
	tests := []struct {
		name                   string
		existing, wanted, keep string
		want                   string
	}{
		{name: "first", wanted: "a", want: "a"},
		{name: "nothing to do", existing: "a", wanted: "a", want: "a"},
		{name: "added after the old one", existing: "a", wanted: "b", keep: "a", want: "ab"},
		{name: "while the old one is still served", existing: "ab", wanted: "ba", want: "ab"},
		{name: "the old one isn't needed any more", existing: "ab", wanted: "b", want: "b"},
		{name: "two before it, in any order", existing: "cab", wanted: "b", keep: "ac", want: "cab"},
		{name: "lost while the old one is served", wanted: "ba", want: "ba"},
		{name: "written by somebody else", existing: "x", wanted: "a", keep: "x", want: "xa"},
		{name: "doubled", existing: "aab", wanted: "ab", want: "aab"},
		{name: "garbage", existing: "?", wanted: "a", want: "a"},
		{name: "garbage that does no harm", existing: "?a?", wanted: "a", want: "?a?"},
		{name: "garbage that is rewritten", existing: "?a?", wanted: "b", keep: "a", want: "ab"},
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
			var wanted []*x509.Certificate
			for _, letter := range test.wanted {
				wanted = append(wanted, certificates[letter])
			}
			keep := func(certificate *x509.Certificate) bool {
				return strings.ContainsFunc(test.keep, func(letter rune) bool { return certificates[letter].Equal(certificate) })
			}
			got, err := bundle([]byte(encodeAll(test.existing)), wanted, keep)
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
	service := &admissionregistrationv1.ServiceReference{Name: "lws-webhook-service", Namespace: "lws-system"}
	got := hostsOf([]*admissionregistrationv1.WebhookClientConfig{
		{Service: service},
		{URL: ptr.To("https://127.0.0.1:9443/mutate")},
		{Service: service},
		{URL: ptr.To("https://[::1]/validate")},
		{URL: ptr.To("://")},
		{},
	})
	want := []string{"127.0.0.1", "::1", "lws-webhook-service.lws-system.svc"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
