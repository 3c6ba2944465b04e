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

// What random worlds are like. Each is the chance, of 100, that it happens at an opportunity.
const (
	interruptions = 30 // something else happens before a write of the operator
	refusedWrites = 1  // a write of the operator fails
	lostAnswers   = 1  // a write of the operator is carried out, and it is told otherwise
	stalls        = 3  // the cache stops seeing changes of a kind for a while
	relists       = 5  // the cache sees everything at once instead of one change
	waits         = 2  // time passes although there is something to do
	restarts      = 1  // the operator ends, in the middle of what it does, and starts again
	absences      = 50 // it doesn't start again at once
)

const (
	// maxRestarts bounds the restarts of a random world, so that it comes to rest.
	maxRestarts = 5

	// maxDepth bounds how many things happen within each other.
	maxDepth = 3

	// maxSteps is after how many steps a world that should have come to rest is taken to be restless.
	maxSteps = 20000

	// cacheChecks is one in how many random worlds checks the shared objects of the cache after each pass. That takes
	// half as much time again.
	cacheChecks = 10
)

// span is how long something takes: orderly in orderly worlds, up to random in others.
type span struct{ orderly, random time.Duration }

var (
	startup  = span{orderly: 2 * time.Second, random: 5 * time.Second}
	shutdown = span{orderly: 10 * time.Second, random: 20 * time.Second}
	stall    = span{random: 40 * time.Second}
	absence  = span{random: 60 * time.Second}
)

// action is one thing that can happen.
type action func()

// actor is someone in the world.
type actor interface {
	// actions are what can happen now, in a fixed order.
	actions() []action
}

// waiter is an actor that the passing of time alone gives something to do.
type waiter interface {
	// next is when; the zero time for never.
	next() time.Time
}

// World is an API server and everyone who works with it.
type World struct {
	// API is where tests make changes, as users and failures would.
	API *API

	t          testing.TB
	operator   Operator
	random     *rand.Rand // nil in an orderly world
	gate       bool       // MaxUnavailableStatefulSet, of the StatefulSet controller
	clock      *testingclock.FakeClock
	began      time.Time
	actors     []actor   // but for the operator
	run        *run      // nil while the operator isn't running
	returns    time.Time // when an operator that isn't running starts by itself; the zero time for never
	restarts   int
	depth      int
	writing    *pass // of the operator, while it writes
	accidental bool  // what happens now isn't anyone's reaction
	film       film
	rules      invariants
	lives      lives

	// checksCache is whether each pass must leave the shared objects of the cache unchanged.
	checksCache bool
}

// New is an orderly world with the operator in it: the first thing that can happen does, in a fixed order; nothing lags and nothing
// fails.
func New(tb testing.TB, operator Operator) *World {
	tb.Helper()
	return newWorld(tb, operator, nil, true)
}

// NewRandom is a random world, the same for the same seed. In half of them the feature gate MaxUnavailableStatefulSet is on.
func NewRandom(tb testing.TB, operator Operator, seed uint64) *World {
	tb.Helper()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // Not a secret: it has to repeat.
	return newWorld(tb, operator, random, seed%cacheChecks == 0)
}

func newWorld(tb testing.TB, operator Operator, random *rand.Rand, checksCache bool) *World {
	tb.Helper()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &World{
		t: tb, operator: operator, random: random, clock: testingclock.NewFakeClock(began), began: began, lives: newLives(),
		checksCache: checksCache,
	}
	w.gate = w.chance(50)
	w.API = newAPI(operator.Scheme, w.clock)
	w.API.watches = append(w.API.watches, w.film.watch, w.check)
	w.actors = []actor{newStatefulSetController(w), &scheduler{world: w}, newKubelets(w), &nodeController{world: w}, &garbageCollector{world: w}}
	for _, name := range []string{"node-1", "node-2"} {
		w.must(w.API.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	w.begin()
	return w
}

// Restart ends the operator, whatever it is doing, and starts it again.
func (w *World) Restart() {
	w.t.Helper()
	w.tell("operator", "restarts", "")
	w.end()
	w.begin()
}

// Stop ends the operator, whatever it is doing, until it is started.
func (w *World) Stop() {
	w.tell("operator", "stops", "")
	w.end()
}

// Start starts the operator, which was stopped.
func (w *World) Start() {
	w.t.Helper()
	w.tell("operator", "starts", "")
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

// restart is a restart as it happens in random worlds: the operator is away for a while, or not at all.
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

// Settle has things happen until nothing is left to happen, ever.
func (w *World) Settle() {
	w.t.Helper()
	for range maxSteps {
		if !w.Step() {
			w.checkLives()
			w.rules.rest(w.API)
			return
		}
	}
	w.fail("the world doesn't come to rest in %d steps", maxSteps)
}

// Elapse has things happen for some time, or a little more: time moves on to when something happens.
func (w *World) Elapse(duration time.Duration) {
	w.t.Helper()
	end := w.clock.Now().Add(duration)
	for range maxSteps {
		if len(w.actions()) == 0 && (w.next().IsZero() || w.next().After(end)) {
			if end.After(w.clock.Now()) {
				w.clock.SetTime(end)
			}
			return
		}
		w.Step()
	}
	w.fail("the world takes more than %d steps for %s", maxSteps, duration)
}

// Step has one thing happen, or else time pass until one can. It says whether there was, or will be, any.
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

// interrupt may have something else happen in the middle of what the operator does.
func (w *World) interrupt() {
	if w.depth < maxDepth && w.chance(interruptions) {
		w.depth++
		w.Step()
		w.depth--
	}
}

// actions are what can happen now: in an orderly world the operator sees at once what changes, and acts after everyone else.
func (w *World) actions() []action {
	actions := w.sights()
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

// sights have the cache catch up.
func (w *World) sights() []action {
	if w.run == nil {
		return nil
	}
	var actions []action
	for _, kind := range w.run.cache.watched() {
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

// wait has time pass until something can happen. It says whether something will.
func (w *World) wait() bool {
	next := w.next()
	if next.After(w.clock.Now()) {
		w.clock.SetTime(next)
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

// chance says whether something happens that does so in percent of the cases; never in an orderly world.
func (w *World) chance(percent int) bool { return w.random != nil && w.random.IntN(100) < percent }

// below is a number below the limit; 0 in an orderly world.
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

// fail ends the test, with the end of the film.
func (w *World) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Logf("the end of the film:\n%s", w.film.end())
	w.t.Fatalf(format, args...)
}

func compareKeys(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// at is a name in the namespace of the object.
func at(object client.Object, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: name}
}

// earlier is the earlier one of two times, where the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// earliest is the earliest of the times; the zero time if there are none.
func earliest[K comparable](times map[K]time.Time) time.Time {
	var first time.Time
	for _, at := range times {
		first = earlier(first, at)
	}
	return first
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
