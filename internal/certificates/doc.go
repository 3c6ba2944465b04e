// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package certificates makes and renews the certificate of the webhooks, for clusters where neither the Operator Lifecycle Manager nor
// cert-manager does.
//
//	Secret: the authority, a certificate and its key          shared by all replicas, written by whoever finds it due
//	   │
//	   ├─▶ caBundle of both webhook configurations            the API server trusts it …
//	   └─▶ serving certificate, in the memory of each replica  … before any replica serves what it has signed
//
// A pass looks at all three, and brings them in line: it is made at the start, when one of the objects changes, and when something is due.
// It is right whatever the one before left undone, and passes of several replicas may be made at a time: what they write carries the
// version that they have seen, and the one who is late looks again. None of it needs the leader: the pods of a new version become ready,
// which takes a certificate, while the leader is one of the version before.
//
// When the authority changes, no request is refused. First the new authority is added to the caBundles; every replica goes on with its old
// certificate until all API servers have learned of that (settling), and the old authority stays in the caBundles until all replicas must have
// changed (overlap).
//
// This package isn't github.com/open-policy-agent/cert-controller, which has the same purpose. As of v0.16.0, that library:
//
//   - Replaces the caBundle at once, while replicas serve from a mounted Secret. The kubelet updates the mount 30 to 100 seconds
//     later, by the library's issue 50. Webhooks fail meanwhile. RestartOnSecretRefresh ends the process to shorten that.
//   - Needs a Secret that exists, and a volume that mounts it. This package creates the Secret and needs no volume.
//   - Lists and watches all Secrets of the namespace and all webhook configurations of the cluster. This package and its RBAC
//     rules name three objects.
//   - Signs for the DNS names that its caller passes. This package reads the hosts from the webhook configurations.
//   - Calls time.Now, so tests can't set the time. This package takes a clock.
//
// authority.go, bundle.go and serving.go decide, by values and the time they are given; rotator.go reads and writes.
package certificates
