// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package refusal

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var began = time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)

// span returns a span by its seconds.
func span(start, end int) Span {
	return Span{Start: began.Add(time.Duration(start) * time.Second), End: began.Add(time.Duration(end) * time.Second)}
}

// failing returns a probe with the error of a webhook that can't be called.
func failing(start, end int, reason string) Probe {
	return Probe{Span: span(start, end), Err: errors.New(
		`Internal error occurred: failed calling webhook "mpod.kb.io": failed to call webhook: ` +
			`Post "https://operator.example.svc:443/mutate?timeout=10s": ` + reason)}
}

// TestUnexplained checks that a refusal is explained only by its reason and its time together.
func TestUnexplained(t *testing.T) {
	const refused, deadline = "dial tcp 10.244.1.5:9443: connect: connection refused", "context deadline exceeded"
	ends := []Span{span(20, 22), span(40, 42)}
	for name, test := range map[string]struct {
		probe Probe
		spans []Span
		want  bool
	}{
		"admitted":                         {probe: Probe{Span: span(10, 10)}},
		"while a replica ends":             {probe: failing(41, 41, refused), spans: ends},
		"from the end of a replica on":     {probe: failing(22, 32, deadline), spans: ends},
		"until the mark of a replica":      {probe: failing(19, 20, refused), spans: ends},
		"before any replica ends":          {probe: failing(18, 19, refused), spans: ends, want: true},
		"between the ends of two replicas": {probe: failing(23, 33, deadline), spans: ends, want: true},
		"after all ends":                   {probe: failing(43, 53, deadline), spans: ends, want: true},
		"while no replica ends":            {probe: failing(41, 41, refused), want: true},
		"for another reason":               {probe: failing(41, 41, "x509: unknown authority"), spans: ends, want: true},
		"by the API server itself": {
			probe: Probe{Span: span(41, 56), Err: errors.New(`Post "https://10.0.0.1:6443/api": context deadline exceeded`)},
			spans: ends, want: true,
		},
		"by the webhook": {
			probe: Probe{Span: span(41, 41), Err: errors.New("admission webhook denied the request")}, spans: ends, want: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(Unexplained([]Probe{test.probe}, test.spans)) > 0; got != test.want {
				t.Errorf("unexplained is %t, want %t", got, test.want)
			}
		})
	}
}

// TestSeriesOf checks that a series ends with another reason, and not with an admitted pod.
func TestSeriesOf(t *testing.T) {
	admitted := func(at int) Probe { return Probe{Span: span(at, at)} }
	got := SeriesOf([]Probe{
		admitted(0), failing(1, 1, "EOF"), admitted(2), failing(3, 3, "EOF"), failing(4, 14, "late"), failing(5, 5, "EOF"),
	})
	want := []Series{
		{Reason: "EOF", First: span(1, 1).Start, Last: span(3, 3).Start, Count: 2},
		{Reason: "late", First: span(4, 4).Start, Last: span(4, 4).Start, Count: 1},
		{Reason: "EOF", First: span(5, 5).Start, Last: span(5, 5).Start, Count: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}
