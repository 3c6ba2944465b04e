// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package leaderworkerset reconciles LeaderWorkerSets: two reconcilers of one shape, over sets and over their groups.
//
//	        reads the cache only         pure: no client, no clock, no log             writes only
//	watch ──▶ observe ─────▶ snapshot ──▶ plan (revision, rollout, group, desired, status) ──▶ apply ──▶ events
//	              ▲                                                                             │
//	              └───────────── the next pass sees at least what this one wrote ◀──────────────┘
//
// The set reconciler, one pass for each LeaderWorkerSet, costs O(groups): it writes the revision, the shared Service, the leader
// StatefulSet and the status, and takes down groups: those that have failed, and those that a rollout replaces. The group reconciler,
// one pass for each group, costs O(size): it writes the worker StatefulSet and the group's own Service, and looks after the workers'
// volume claims. No event of a single pod costs O(groups): those that concern the set are gathered first.
//
// What holds after every step:
//
//   - A ready group is never taken down by a rollout when fewer than replicas - maxUnavailable would remain ready.
//   - A group is built from one revision only, its own.
//   - A group that fails is recreated as a whole, once.
//   - An unchanged world gives no write.
//   - Acting on a view that is late breaks none of these: creations carry owners, changes versions or specs, deletions UIDs.
//
// Where to look:
//
//	setup.go                         how it all is wired: caches, indexes, watches, health
//	leaderworkerset_controller.go    a pass over a set
//	group_controller.go              a pass over a group
//	observe.go, watch.go             what a pass reads, what starts one, and what the cache keeps
//	failures.go, lives.go            what passes over groups saw, for those over their sets
//	identity/                        names, labels, ordinals
//	snapshot/                        what one pass may look at
//	record/                          what is remembered of groups while the operator isn't running
//	revision/                        ControllerRevisions and what they mean
//	rollout/                         the arithmetic of rolling updates
//	group/                           what one group needs next
//	desired/                         the objects, and what each pod gets injected
//	status/                          counts, conditions, events
//	plan/                            one ordered value of all this
//	../apply/                        the only writer
//	admission/                       webhooks
package leaderworkerset
