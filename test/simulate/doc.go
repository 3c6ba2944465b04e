// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package simulate is a world for tests. It has an API server, controllers and kubelets that turn StatefulSets into
// running pods, and a late cache. The operator's real reconcilers run in it, and the real watches start their passes.
//
// One action happens at a time. The clock only moves when no actor has an action left. An orderly world takes the first
// action in a fixed order, for films that people read. A random world chooses by a seed, and the same seed gives the
// same film. In a random world the operator's cache is late, other actions happen between two writes of a pass, and the
// operator restarts at any step. The world checks the invariants after every change.
//
// What judges the operator shares no code with it: only api.go imports packages of the operator, for the webhooks.
//
//	world.go        the actors, the next action, and the clock
//	api.go          the API server: versions, UIDs, generations, preconditions, graceful and dependent deletion
//	statefulset.go  the StatefulSet controller, with default feature gates
//	claims.go       its volume claims
//	scheduler.go    the scheduler
//	gangs.go        its gangs, the controller of PodGroups, and what has to hold for them
//	kubelet.go      the kubelets: pods become ready, and stop within their grace period
//	nodes.go        lost nodes, and the eviction of their pods
//	accidents.go    other accidents of pods
//	gc.go           the garbage collector
//	limit.go        how many requests it may make
//	scarcity.go     a quota on StatefulSets, a queue, a cordoned node, and an autoscaler
//	cache.go        the operator's late cache
//	client.go       the operator's writes
//	operator.go     one run of the operator, from start to restart
//	queue.go        its work queues, by the world's clock
//	invariants.go   what has to hold after every change
//	teardown.go     how soon the pods of a group are marked for deletion
//	incarnations.go which groups have to be restarted, and which must not
//	rest.go         what has to hold at rest
//	naive.go        simple readers of objects, for the checks
//	film.go         what happened, in words
//
// DisaggregatedSets have the same actors. The operator's passes over them write LeaderWorkerSets.
//
//	disaggregated.go       readers of their objects, and their films
//	lockstep.go            what has to hold for their roles after every write
//	disaggregated_rest.go  what has to hold for them at rest
//
// To add an actor, write a type with the methods of actor and add it to the world's list. World.API takes the changes
// of users.
package simulate
