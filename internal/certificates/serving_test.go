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
	by := func(signer *authority, made time.Time) *serving {
		certificate, err := signer.sign(hosts, made)
		if err != nil {
			t.Fatal(err)
		}
		return &serving{certificate: certificate, hosts: hosts, since: made, authority: signer.certificate}
	}
	due := start.Add(2 * servingLifetime / 3)
	lastHour := current.certificate.NotAfter.Add(-time.Hour)
	tests := []struct {
		name    string
		serving *serving
		hosts   []string
		now     time.Time
		want    time.Time
	}{
		{name: "nothing is served", hosts: hosts, now: start, want: start},
		{name: "a new one", serving: by(current, start), hosts: hosts, now: start, want: due},
		{name: "due for long", serving: by(current, start), hosts: hosts, now: start.Add(servingLifetime), want: due},
		{name: "one that ends with its authority", serving: by(current, lastHour), hosts: hosts, now: lastHour, want: lastHour.Add(40 * time.Minute)},
		{name: "for other hosts", serving: by(current, start), hosts: []string{"a", "c"}, now: start, want: start},
		{name: "of the authority before", serving: by(old, start), hosts: hosts, now: start, want: start.Add(settling)},
		{name: "of the authority before, for a moment only", serving: by(old, start.Add(time.Second-servingLifetime)), hosts: hosts, now: start,
			want: start.Add(time.Second)},
		{name: "of the authority before, for other hosts", serving: by(old, start), hosts: []string{"c"}, now: start, want: start},
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
