// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package certificates makes and renews the webhooks' certificate. The operator uses it in clusters where neither the
// Operator Lifecycle Manager nor cert-manager makes that certificate.
//
//	Secret: the authority, a certificate and its key           all replicas share it; the first to find it due renews it
//	   │
//	   ├─▶ caBundles of both webhook configurations            API servers trust the authority …
//	   └─▶ serving certificate, in the memory of each replica  … before a replica serves a certificate that it signed
//
// A pass compares all three and writes what differs. Passes run at the start, when one of the objects changes, and when
// a renewal is due. A pass completes what an earlier pass left undone. Several replicas may run passes at the same
// time. Each write carries the resource version that the replica read, and a replica requeues after a conflict. No pass
// needs the leader. During an upgrade, pods of the new version need a certificate to become ready, while the leader is
// still a pod of the previous version.
//
// No request is refused when the authority changes:
//
//  1. A replica adds the new authority to the caBundles.
//  2. Every replica keeps its old certificate for propagationDelay, until all API servers know the new authority.
//  3. Every replica serves a certificate that the new authority signed.
//  4. After overlap, when all replicas have changed, a replica removes the old authority from the caBundles.
//
// This package isn't github.com/open-policy-agent/cert-controller, which has the same purpose. As of v0.16.0, that
// library:
//
//   - Replaces the caBundle at once, while replicas serve from a mounted Secret. The kubelet updates the mount 30 to
//     100 seconds later, by the library's issue 50. Meanwhile, webhooks fail. RestartOnSecretRefresh ends the process
//     to shorten that.
//   - Needs a Secret that exists, and a volume that mounts it. This package creates the Secret and needs no volume.
//   - Lists and watches all Secrets of the namespace and all webhook configurations of the cluster. This package and
//     its RBAC rules name three objects.
//   - Signs for the DNS names that its caller passes. This package reads the hosts from the webhook configurations.
//   - Calls time.Now, so tests can't set the time. This package takes a clock.
//
// authority.go, bundle.go and serving.go decide, as functions of values and the time. rotator.go reads and writes.
package certificates
