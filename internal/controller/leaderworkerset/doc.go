// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package leaderworkerset reconciles LeaderWorkerSets: two reconcilers of one shape, over sets and over their groups.
//
//	        reads the cache only         pure: no client, no clock, no log                    writes only
//	watch ──▶ observe ─────▶ snapshot ──▶ plan (revision, release, restart, desired, status) ──▶ apply ──▶ events
//	              ▲                                                                                │
//	              └────────────── the next pass sees at least what this one wrote ◀────────────────┘
//
// The set reconciler makes one pass for each LeaderWorkerSet, at a cost of O(groups). It writes the revision, the
// shared Service, the leader StatefulSet and the status. It deletes the leaders of groups that are restarted or
// replaced.
//
// The group reconciler makes one pass for each group, at a cost of O(size). It writes the worker StatefulSet and the
// group's own Service, and keeps the workers' volume claims in order. It counts the ready workers. While the leader
// terminates, it deletes all workers in one batch. No event of a single pod costs O(groups): events that concern the
// set wait for a batch.
//
// These hold after every step:
//
//   - A rollout never deletes a ready group if that leaves fewer than replicas - maxUnavailable ready.
//   - A group is created from one revision only, its own.
//   - A group that fails is restarted as a whole, once.
//   - An unchanged world gives no write.
//   - A pass on a late view breaks none of these: each write has a precondition, see the write package.
//
// Where to look:
//
//	setup.go, options.go             how it is wired, and its tunables
//	reconcilers.go                   the same for a world without a manager
//	leaderworkerset_controller.go    a pass over a set
//	group_controller.go              a pass over a group
//	observe.go                       what a pass reads
//	memory.go                        what is remembered between passes
//	cache.go                         what the cache selects and keeps
//	sources.go                       what starts a pass: a table of events.go and predicates.go
//	refusals.go                      which passes the refusal of a pod starts
//	set_queue.go                     how passes over groups start passes over their set
//	identity/                        names, labels, indices
//	snapshot/                        what one pass may look at
//	revision/                        ControllerRevisions and their meaning
//	rollout/                         the arithmetic of rolling updates
//	release/                         which groups are released to the current revision
//	refusal/                         which missing pods the API server refuses
//	requeue/                         when the next pass is due that no event starts
//	restart/                         which groups are restarted when, and what is remembered for that
//	group/                           what one group needs next
//	desired/                         the objects, and what each pod gets injected
//	status/                          counts, conditions, events
//	plan/                            one ordered value of all this
//	admission/                       the webhooks
package leaderworkerset
