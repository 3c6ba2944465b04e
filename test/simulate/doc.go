// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package simulate is a world for tests: an API server, the controllers and kubelets that turn StatefulSets into running pods, and a
// cache that lags behind. The operator's real reconcilers run in it, by the real watches.
//
// One thing happens at a time, and nothing takes longer than the clock says, which only moves when nobody has anything left to do. What
// happens next is either the first thing in a fixed order, for films that people read, or chosen at random from a seed, which repeats
// exactly. In a random world the operator's cache lags, events of other objects happen between two writes of a pass, and the
// operator is restarted at any step. Whatever happens, the invariants are checked after every change.
//
//	world.go        who is there, what happens next, and the clock
//	api.go          the API server: versions, UIDs, generations, preconditions, graceful and dependent deletion
//	statefulset.go  the StatefulSet controller, with default feature gates
//	claims.go       its volume claims
//	scheduler.go    the scheduler
//	kubelet.go      the kubelets: pods become ready, and take their time to stop
//	nodes.go        nodes that are lost, and what becomes of their pods
//	accidents.go    what else can happen to pods
//	gc.go           the garbage collector
//	cache.go        what the operator sees, and when
//	client.go       what the operator writes
//	operator.go     one run of the operator, from start to restart
//	queue.go        its work queues, by the world's clock
//	invariants.go   what has to hold all the time
//	lives.go        which groups have to be recreated, and which must not
//	rest.go         what has to hold once nothing happens any more
//	film.go         what happened, in words
//
// Another actor is a type with the methods of actor, added to the world's list. World.API takes changes of anybody.
package simulate
