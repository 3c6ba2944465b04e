// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"
)

// propagationDelay is how long API servers may take to see a changed caBundle. Most take milliseconds.
const propagationDelay = time.Minute

// serving is the certificate that a replica serves.
type serving struct {
	certificate *tls.Certificate
	hosts       []string
	// since is when the replica began to serve the certificate, and the start of its lifetime. Its NotBefore is earlier by
	// clockSkew, which would distort the renewal of a short-lived certificate.
	since time.Time
	// authority is the certificate of the authority that signed it.
	authority *x509.Certificate
}

// trust is an authority that is in the caBundles of all existing webhook configurations.
type trust struct {
	*authority
	// since is when this replica found the authority in all caBundles.
	since time.Time
}

// replaceAt returns when a replica has to replace s by another certificate, for the hosts and signed by the trusted
// authority. The time is now or in the past if no API server accepts s.
func (s *serving) replaceAt(hosts []string, trusted trust, now time.Time) time.Time {
	switch {
	case s == nil || !slices.Equal(s.hosts, hosts):
		return now
	case !s.authority.Equal(trusted.certificate):
		return earliest(trusted.since.Add(propagationDelay), s.certificate.Leaf.NotAfter)
	default:
		return renewal(s.since, s.certificate.Leaf.NotAfter)
	}
}

// valid reports whether there is a certificate that hasn't expired.
func (s *serving) valid(now time.Time) bool {
	return s != nil && now.Before(s.certificate.Leaf.NotAfter)
}
