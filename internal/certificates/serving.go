// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"
)

// settling is how long API servers may take to learn of a changed caBundle. It mostly takes them milliseconds.
const settling = time.Minute

// serving is the certificate that a replica serves.
type serving struct {
	certificate *tls.Certificate
	hosts       []string
	// since when it is served: its life starts here. It is valid from earlier on, by clockSkew, which is longer than a short life.
	since time.Time
	// authority has signed it.
	authority *x509.Certificate
}

// trust is an authority that is in the caBundles of all configurations there are.
type trust struct {
	*authority
	// since when, as far as this replica knows.
	since time.Time
}

// replaceAt is when a replica has to serve another certificate than s, for the hosts and signed by a trusted authority. It is now, or in the
// past, for one that nobody accepts.
func (s *serving) replaceAt(hosts []string, trusted trust, now time.Time) time.Time {
	switch {
	case s == nil || !slices.Equal(s.hosts, hosts):
		return now
	case !s.authority.Equal(trusted.certificate):
		return earliest(trusted.since.Add(settling), s.certificate.Leaf.NotAfter)
	default:
		return renewal(s.since, s.certificate.Leaf.NotAfter)
	}
}

// valid is whether the certificate is good at the time.
func (s *serving) valid(now time.Time) bool {
	return s != nil && now.Before(s.certificate.Leaf.NotAfter)
}
