// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"testing"
	"time"
)

func TestReplaceAt(t *testing.T) {
	hosts := []string{"a", "b"}
	old, current := mustRead(t, mustMake(t, start), start), mustRead(t, mustMake(t, start), start)
	signedBy := func(signer *authority, made time.Time) *serving {
		certificate, err := signer.sign(hosts, made)
		if err != nil {
			t.Fatal(err)
		}
		return &serving{certificate: certificate, hosts: hosts, since: made, authority: signer.certificate}
	}
	wantRenewal := start.Add(2 * servingLifetime / 3)
	lastHour := current.certificate.NotAfter.Add(-time.Hour)
	tests := []struct {
		name    string
		serving *serving
		hosts   []string
		now     time.Time
		want    time.Time
	}{
		{name: "no certificate", hosts: hosts, now: start, want: start},
		{name: "a new certificate", serving: signedBy(current, start), hosts: hosts, now: start, want: wantRenewal},
		{name: "long overdue", serving: signedBy(current, start), hosts: hosts, now: start.Add(servingLifetime),
			want: wantRenewal},
		{name: "expires with its authority in an hour", serving: signedBy(current, lastHour), hosts: hosts, now: lastHour,
			want: lastHour.Add(40 * time.Minute)},
		{name: "for other hosts", serving: signedBy(current, start), hosts: []string{"a", "c"}, now: start, want: start},
		{name: "signed by the previous authority", serving: signedBy(old, start), hosts: hosts, now: start,
			want: start.Add(propagationDelay)},
		{name: "signed by the previous authority, and expires in a second",
			serving: signedBy(old, start.Add(time.Second-servingLifetime)), hosts: hosts, now: start,
			want: start.Add(time.Second)},
		{name: "signed by the previous authority, for other hosts", serving: signedBy(old, start), hosts: []string{"c"},
			now: start, want: start},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.serving.replaceAt(test.hosts, trust{current, start}, test.now)
			if !got.Equal(test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestValid(t *testing.T) {
	certificate, err := mustRead(t, mustMake(t, start), start).sign(nil, start)
	if err != nil {
		t.Fatal(err)
	}
	served := &serving{certificate: certificate}
	for _, test := range []struct {
		name    string
		serving *serving
		now     time.Time
		want    bool
	}{
		{"none", nil, start, false},
		{"new", served, start, true},
		{"expired", served, start.Add(servingLifetime), false},
	} {
		if got := test.serving.valid(test.now); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}
