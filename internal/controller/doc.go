// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package controller wires the operator: the scheme, cache, client and health checks of the manager, and the Setup of
// each kind.
//
//	setup.go           what all kinds share
//	write/             a request to the API server as a value: its precondition, and its reason
//	apply/             the only writer; it knows no kind
//	scheduling/        gang scheduling: what a set asks for, and the PodGroups of a group
//	kstatus/           conditions that all kinds report in the same way
//	leaderworkerset/   the reconcilers and webhooks of LeaderWorkerSets; its doc.go is the tour
//	disaggregatedset/  the reconciler and webhooks of DisaggregatedSets, whose children are LeaderWorkerSets
//
// What the process needs besides is in packages beside this one:
//
//	config/            the configuration: its file, flags and defaults
//	namespace/         the namespace that the operator runs in
//	features/          the optional APIs that a scheduling provider needs
//	served/            waits until the API server serves LeaderWorkerSets
//	takeover/          waits until no other LeaderWorkerSet controller runs
//	certificates/      the webhooks' certificate
//	metrics/           the metrics of sets and of the process, and who may read them
//	olm/               upgrades by the Operator Lifecycle Manager
//	shutdown/          how a replica stops
//
// # Words
//
// Twenty-one concepts have one word each, in code, documents and messages:
//
//   - group: one leader pod and its workers, created, updated and restarted as a unit.
//   - leader: the pod with worker index 0. It owns the other objects of its group.
//   - worker: any other pod of a group.
//   - index: the number of a group in its set, or of a pod in its group. It is the ordinal of a StatefulSet's pod.
//   - revision: the templates, network configuration and placement that a group is created from, stored as a
//     ControllerRevision.
//   - partition: the index below which a rollout keeps groups at their revision.
//   - surge: groups beyond spec.replicas, while a rollout needs them.
//   - snapshot: the objects that one pass looks at, as the cache had them when the pass began.
//   - plan: what one pass does: an ordered list of writes, the status, and events.
//   - decision: what a pure function returns from a snapshot, as a value.
//   - reason: why, in words. Every decision and every write has one.
//   - desired: an object as it has to be.
//   - apply: send the writes of a plan.
//   - precondition: what has to be as it was observed for a write to be right.
//   - restart: delete a failed group and create it again. Events call it RecreateGroup.
//   - release: let a group be created at the current revision next.
//   - deferred: a group that gets no pods for now, because another one needs the room that both would share.
//   - refusal: what the API server says of a pod that it doesn't admit, for a quota or a policy.
//   - rejection: what the operator's own webhook says of a leader that the release doesn't create now.
//   - memory: what a process remembers of a set from one pass to the next. The record is the part that is stored.
//   - incarnation: one life of a group, from the creation of its leader pod to the deletion of that pod.
package controller
