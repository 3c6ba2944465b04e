// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package refusal judges attempts to create pods during an upgrade of the operator. An API server refuses a pod if the
// operator's webhook doesn't answer.
package refusal

import (
	"slices"
	"strings"
	"time"
)

// uncalled is in the error of each refusal for which the API server got no answer from a webhook.
const uncalled = "failed calling webhook"

// connectionLost are the prefixes of the reasons for which a call of a replica fails if that replica ends without
// draining. A call has no answer until its deadline if the replica's network is gone when the call arrives.
var connectionLost = []string{
	"dial tcp", "read tcp", "write tcp", "http: server closed idle connection", "EOF", "unexpected EOF",
	"context deadline exceeded",
}

// Span is a period of time. Both ends belong to it.
type Span struct {
	Start, End time.Time
}

// overlaps reports whether two spans have a time in common.
func (s Span) overlaps(other Span) bool {
	return !s.End.Before(other.Start) && !other.End.Before(s.Start)
}

// Probe is one attempt to create a pod.
type Probe struct {
	// Span is the time from the request to the answer.
	Span
	// Err is nil if the API server admitted the pod.
	Err error
}

// Reason returns the end of the probe's error, which has the reason of the refusal. It returns "" for no error.
func (p Probe) Reason() string {
	if p.Err == nil {
		return ""
	}
	text := p.Err.Error()
	if i := strings.LastIndex(text, `": `); i >= 0 {
		return text[i+len(`": `):]
	}
	return text
}

// Refused returns the probes that the API server refused.
func Refused(probes []Probe) []Probe {
	var refused []Probe
	for _, p := range probes {
		if p.Err != nil {
			refused = append(refused, p)
		}
	}
	return refused
}

// lostConnection reports whether the API server refused the pod because it lost the connection to a webhook.
func (p Probe) lostConnection() bool {
	return p.Err != nil && strings.Contains(p.Err.Error(), uncalled) &&
		slices.ContainsFunc(connectionLost, func(prefix string) bool { return strings.HasPrefix(p.Reason(), prefix) })
}

// Unexplained returns the refused probes that no lost connection explains. The spans are those in which a connection
// can get lost, because a replica ends without draining.
func Unexplained(probes []Probe, spans []Span) []Probe {
	return slices.DeleteFunc(Refused(probes), func(p Probe) bool {
		return p.lostConnection() && slices.ContainsFunc(spans, p.overlaps)
	})
}

// Series are consecutive refusals for the same reason.
type Series struct {
	Reason string
	// First and Last are the starts of the first and of the last probe.
	First, Last time.Time
	Count       int
}

// SeriesOf returns the series of refusals among probes that are sorted by their start. Admitted probes between two
// refusals don't end a series.
func SeriesOf(probes []Probe) []Series {
	var found []Series
	for _, p := range Refused(probes) {
		reason := p.Reason()
		if len(found) == 0 || found[len(found)-1].Reason != reason {
			found = append(found, Series{Reason: reason, First: p.Start})
		}
		latest := &found[len(found)-1]
		latest.Last = p.Start
		latest.Count++
	}
	return found
}
