// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The chances of random worlds, in percent of the opportunities.
const (
	interruptions = 30 // another action happens before a write of the operator
	refusedWrites = 1  // a write of the operator fails
	lostAnswers   = 1  // a write of the operator succeeds, and the answer says that it failed
	stalls        = 3  // the cache gets no changes of a kind for a while
	relists       = 5  // the cache gets all changes of a kind at once
	waits         = 2  // time passes although actors have actions left
	restarts      = 1  // the operator ends in the middle of a pass and starts again
	absences      = 50 // it starts again later

	foreignRequests = 50 // other objects have used up the requests of a limit
)

const (
	// maxRestarts bounds the operator's restarts in a random world, so that it comes to rest.
	maxRestarts = 5

	// maxDepth bounds how many actions happen within each other.
	maxDepth = 3

	// maxSteps is the number of steps after which a world that has not come to rest fails.
	maxSteps = 20000

	// cacheChecks says that one of so many random worlds checks the shared objects of the cache after each pass. The
	// checks make a world take half as much time again.
	cacheChecks = 10

	// limitPeriod says which random worlds hold the garbage collector to its default limits: the second half of each
	// period of seeds.
	limitPeriod = 4
)

// span is a duration: orderly in orderly worlds, up to random in random worlds.
type span struct{ orderly, random time.Duration }

var (
	startup  = span{orderly: 2 * time.Second, random: 5 * time.Second}
	shutdown = span{orderly: 10 * time.Second, random: 20 * time.Second}
	stall    = span{random: 40 * time.Second}
	absence  = span{random: 60 * time.Second}
)

// action is one step of an actor.
type action func()

// actor is a component of the cluster that acts on the API.
type actor interface {
	// actions returns the actions that are possible now, in a fixed order.
	actions() []action
}

// waiter is an actor that acts after some time, without a change.
type waiter interface {
	// next returns the time of its next action; the zero time for never.
	next() time.Time
}

// World is an API server and all actors that use it.
type World struct {
	// API takes the changes that tests make, as users and failures would.
	API *API

	t          testing.TB
	operator   Operator
	random     *rand.Rand // nil in an orderly world
	gate       bool       // whether the StatefulSet controller has the feature MaxUnavailableStatefulSet
	clock      *testingclock.FakeClock
	began      time.Time
	actors     []actor // without the operator
	collector  *garbageCollector
	run        *run      // nil while the operator isn't running
	returns    time.Time // when the operator starts again; the zero time for never
	restarts   int
	depth      int
	room       int                  // how many pods a node takes; 0 if any number
	pinned     types.NamespacedName // the pod that no node takes; empty for none
	queue      *queueController
	scaler     *autoscaler
	writing    *pass // the operator's pass that writes now; nil if none does
	accidental bool  // whether the present change is an accident or a user's
	film       film
	rules      invariants

	incarnations incarnations
	gangLeaders  map[string]types.UID // the leader that was first in a PodGroup, by its name

	neededRoles map[string]map[string]bool // by DisaggregatedSet and revision, see needs

	// checksCache is whether each pass must leave the shared objects of the cache unchanged.
	checksCache bool
}

// New returns an orderly world with the operator in it. The first possible action happens, in a fixed order. Nothing is
// late and nothing fails.
func New(tb testing.TB, operator Operator) *World {
	tb.Helper()
	return newWorld(tb, operator, nil, true)
}

// NewRandom returns a random world, the same for the same seed. In half of them the feature MaxUnavailableStatefulSet
// is on. In half of them the garbage collector has its default limits.
func NewRandom(tb testing.TB, operator Operator, seed uint64) *World {
	tb.Helper()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // Not a secret: it has to repeat.
	w := newWorld(tb, operator, random, seed%cacheChecks == 0)
	if seed%limitPeriod >= limitPeriod/2 {
		w.LimitGarbageCollector()
	}
	return w
}

func newWorld(tb testing.TB, operator Operator, random *rand.Rand, checksCache bool) *World {
	tb.Helper()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &World{
		t: tb, operator: operator, random: random, clock: testingclock.NewFakeClock(began), began: began,
		incarnations: newIncarnations(), gangLeaders: map[string]types.UID{}, checksCache: checksCache,
		neededRoles: map[string]map[string]bool{},
	}
	w.gate = w.chance(50)
	w.API = newAPI(operator.Scheme, w.clock)
	w.API.watches = append(w.API.watches, w.film.watch, w.check)
	w.collector = &garbageCollector{world: w, begun: map[types.UID]task{}}
	w.queue, w.scaler = &queueController{world: w}, &autoscaler{world: w, removeAt: map[string]time.Time{}}
	w.API.watches = append(w.API.watches, w.scaler.watch)
	w.actors = []actor{
		newStatefulSetController(w), &scheduler{world: w}, newKubelets(w), &nodeController{world: w},
		w.collector, &podGroupController{world: w}, w.queue, w.scaler,
	}
	for _, name := range []string{"node-1", "node-2"} {
		w.must(w.API.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	w.begin()
	return w
}

// Restart ends the operator, also in the middle of a pass, and starts it again.
func (w *World) Restart() {
	w.t.Helper()
	w.record("operator", "restarts", "")
	w.end()
	w.begin()
}

// Stop ends the operator, also in the middle of a pass, until [World.Start].
func (w *World) Stop() {
	w.record("operator", "stops", "")
	w.end()
}

// Start starts the operator after [World.Stop].
func (w *World) Start() {
	w.t.Helper()
	w.record("operator", "starts", "")
	w.begin()
}

func (w *World) begin() {
	w.t.Helper()
	run, err := begin(w, w.operator)
	w.must(err)
	w.run, w.returns = run, time.Time{}
}

func (w *World) end() {
	if w.run != nil {
		w.run.ended = true
	}
	w.run, w.returns = nil, time.Time{}
}

// restart restarts the operator of a random world, at once or after a while.
func (w *World) restart() {
	w.t.Helper()
	w.restarts++
	if !w.chance(absences) {
		w.Restart()
		return
	}
	w.Stop()
	w.returns = w.clock.Now().Add(w.duration(absence))
}

// Settle takes steps until no action is left, now or later.
func (w *World) Settle() {
	w.t.Helper()
	for range maxSteps {
		if w.Step() {
			continue
		}
		w.checkIncarnations()
		w.checkNoneOnDelete()
		w.checkGangs()
		w.rules.reset(w.API)
		return
	}
	w.fail("the world doesn't come to rest in %d steps", maxSteps)
}

// Elapse takes steps for some time. It may take a little longer, as time moves on to the next action.
func (w *World) Elapse(duration time.Duration) {
	w.t.Helper()
	end := w.clock.Now().Add(duration)
	for range maxSteps {
		if len(w.actions()) == 0 && (w.next().IsZero() || w.next().After(end)) {
			if end.After(w.clock.Now()) {
				w.advance(end)
			}
			return
		}
		w.Step()
	}
	w.fail("the world takes more than %d steps for %s", maxSteps, duration)
}

// Step takes one action or, if none is possible, lets time pass until one is. It reports whether there was or will be
// one.
func (w *World) Step() bool {
	if w.chance(restarts) && w.restarts < maxRestarts && w.run != nil {
		w.restart()
		return true
	}
	actions := w.actions()
	if len(actions) == 0 || w.chance(waits) {
		return w.wait() || len(actions) > 0
	}
	actions[w.below(len(actions))]()
	return true
}

// interrupt may take another action in the middle of the operator's pass.
func (w *World) interrupt() {
	if w.depth < maxDepth && w.chance(interruptions) {
		w.depth++
		w.Step()
		w.depth--
	}
}

// actions returns all possible actions. In an orderly world, the operator sees each change at once and acts last.
func (w *World) actions() []action {
	actions := w.cacheUpdates()
	for _, actor := range w.actors {
		actions = append(actions, actor.actions()...)
	}
	switch {
	case w.run != nil:
		return append(actions, w.run.actions()...)
	case w.returns.IsZero() || w.returns.After(w.clock.Now()):
		return actions
	default:
		return append(actions, w.Start)
	}
}

// cacheUpdates returns the actions that update the cache.
func (w *World) cacheUpdates() []action {
	if w.run == nil {
		return nil
	}
	var actions []action
	for _, kind := range w.run.cache.pending() {
		actions = append(actions, func() {
			switch {
			case w.chance(stalls):
				w.run.cache.stall(kind, w.clock.Now().Add(w.duration(stall)))
			case w.chance(relists):
				w.run.cache.relist(kind)
			default:
				w.run.cache.catchUp(kind)
			}
		})
	}
	return actions
}

// wait lets time pass until an action is possible. It reports whether one will be.
func (w *World) wait() bool {
	next := w.next()
	if next.After(w.clock.Now()) {
		w.advance(next)
	}
	return !next.IsZero()
}

func (w *World) next() time.Time {
	next := w.returns
	if w.run != nil {
		next = earlier(w.run.next(), w.run.cache.next())
	}
	for _, actor := range w.actors {
		if waiter, ok := actor.(waiter); ok {
			next = earlier(next, waiter.next())
		}
	}
	return next
}

// chance returns true in percent of the cases; never in an orderly world.
func (w *World) chance(percent int) bool { return w.random != nil && w.random.IntN(100) < percent }

// below returns a number below the limit; 0 in an orderly world.
func (w *World) below(limit int) int {
	if w.random == nil {
		return 0
	}
	return w.random.IntN(limit)
}

func (w *World) duration(of span) time.Duration {
	if w.random == nil {
		return of.orderly
	}
	return time.Duration(w.random.Int64N(int64(of.random)))
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fail("%v", err)
	}
}

// fail ends the test and logs the end of the film.
func (w *World) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Logf("the end of the film:\n%s", w.film.end())
	w.t.Fatalf(format, args...)
}

func compareKeys(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// at returns the key of a name in the namespace of the object.
func at(object client.Object, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: name}
}

// earlier returns the earlier of two times, where the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// earliest returns the earliest of the times; the zero time if there are none.
func earliest[K comparable](times map[K]time.Time) time.Time {
	var first time.Time
	for _, at := range times {
		first = earlier(first, at)
	}
	return first
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
