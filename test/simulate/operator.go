// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Operator is the operator under test.
type Operator struct {
	// Scheme has the types that the operator reads and writes.
	Scheme *runtime.Scheme

	// Cache selects and trims the objects of its cache.
	Cache cache.Options

	// ReadsYourWrites is whether reads of its client wait until the cache shows all that this run has written, as those
	// of the real operator do. Writes whose answer is lost aren't waited for.
	ReadsYourWrites bool

	// Start begins a run. Nothing in its memory may come from an earlier run.
	Start func(Environment) ([]Controller, error)
}

// Environment has the dependencies of a run of the operator.
type Environment struct {
	Cache    cache.Cache
	Client   client.Client
	Live     client.Reader
	Recorder Recorder
	Clock    clock.PassiveClock

	// Restarted takes each restart that the operator counts: the leader of the incarnation that ended, and the cause.
	Restarted func(leader types.UID, cause string)
}

// Recorder takes the operator's events, as an EventRecorder of client-go does.
type Recorder interface {
	Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any)
}

// Controller is one of the operator's reconcilers, and the sources that start its passes.
type Controller struct {
	// Name is its name in films, such as "set".
	Name string

	Reconciler reconcile.Reconciler
	Sources    []source.Source
	Limiter    workqueue.TypedRateLimiter[reconcile.Request]
}

// run is one run of the operator.
type run struct {
	world       *World
	cache       *lateCache
	controllers []controller
	passes      []*pass // that have begun, the present one last
	ended       bool

	// written is how long the API's history of each kind was after the run's last write that succeeded. It is nil if
	// reads don't wait.
	written map[string]int

	// counted are the groups whose workers were all ready in the cache when the last pass over the group began.
	counted readyGroups

	// reason is the reason of the next write, as the operator logs it.
	reason string
}

type controller struct {
	Controller
	queue *queue
}

// pass is a reconciliation that has begun.
type pass struct {
	name    string
	request reconcile.Request

	// ready are the groups of the set that were ready in the cache when the pass began.
	ready readyGroups

	// lowestMissing is the index of the lowest leader that the cache lacked when the pass began. The StatefulSet
	// controller creates that leader next.
	lowestMissing int32

	// onDelete is the leader StatefulSet in the cache when the pass began, if it had the strategy OnDelete and the next
	// leader didn't need that; else nil.
	onDelete *appsv1.StatefulSet

	// roles is the DisaggregatedSet of the pass as the cache showed it when the pass began; nil for other passes.
	roles *rolesPass

	// read are the objects of the cache that the pass has read, in worlds that check them.
	read map[client.Object]sharedObject
}

// begin starts the operator: its cache fills, and its watches get all objects.
func begin(world *World, operator Operator) (*run, error) {
	r := &run{world: world, cache: newLateCache(world.API, operator.Cache), counted: readyGroups{}}
	if world.checksCache {
		r.cache.onRead = r.record
	}
	if operator.ReadsYourWrites {
		r.written = map[string]int{}
	}
	controllers, err := operator.Start(Environment{
		Cache:    r.cache,
		Client:   &operatorClient{world: world, run: r},
		Live:     &liveReader{api: world.API},
		Recorder: &recorder{run: r},
		Clock:    world.clock,

		Restarted: func(leader types.UID, cause string) {
			if world.run == r { // A pass may outlive its process here. What it counts is lost.
				world.countRestart(leader, cause)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	for _, c := range controllers {
		q := &queue{clock: world.clock, limiter: c.Limiter, due: map[reconcile.Request]time.Time{}}
		r.controllers = append(r.controllers, controller{Controller: c, queue: q})
		for _, s := range c.Sources {
			if err := startSource(ctx, s, q); err != nil {
				return nil, err
			}
		}
	}
	r.cache.announce()
	return r, nil
}

func startSource(ctx context.Context, s source.Source, q *queue) error {
	if err := s.Start(ctx, q); err != nil {
		return err
	}
	if syncing, ok := s.(source.SyncingSource); ok {
		return syncing.WaitForSync(ctx)
	}
	return nil
}

// actions returns the passes that are due. A controller makes no two passes for the same request at a time.
func (r *run) actions() []action {
	var actions []action
	for _, c := range r.controllers {
		for _, request := range c.queue.ready() {
			name := "operator, " + c.Name + " " + request.Name
			if !slices.ContainsFunc(r.passes, func(p *pass) bool { return p.name == name && p.request == request }) {
				next := &pass{name: name, request: request, read: map[client.Object]sharedObject{}}
				actions = append(actions, func() { r.reconcile(c, next) })
			}
		}
	}
	return actions
}

// next returns when the next pass is due.
func (r *run) next() time.Time {
	var next time.Time
	for _, c := range r.controllers {
		next = earlier(next, c.queue.next())
	}
	return next
}

// reconcile makes one pass, and requeues the request if the pass asks for it.
func (r *run) reconcile(c controller, p *pass) {
	delete(c.queue.due, p.request)
	p.ready = readyInCache(r.cache, p.request.NamespacedName, r.counted)
	countWorkers(r.cache, p.request.NamespacedName, r.counted)
	p.lowestMissing = lowestMissingInCache(r.cache, p.request.NamespacedName)
	p.onDelete = needlesslyOnDelete(r.cache, p.request.NamespacedName, p.lowestMissing)
	p.roles = r.beginRoles(p.request.NamespacedName)
	r.passes = append(r.passes, p)
	result, err := c.Reconciler.Reconcile(log.IntoContext(context.Background(), logr.New(&reasons{run: r})), p.request)
	r.passes = r.passes[:len(r.passes)-1]
	r.checkUnchanged(p)
	if err == nil && !r.ended {
		r.world.checkNoLonger(p)
		r.world.checkStep(p)
	}
	switch {
	case errors.Is(err, reconcile.TerminalError(nil)):
		c.queue.Forget(p.request)
	case err != nil:
		c.queue.AddRateLimited(p.request)
	default:
		c.queue.Forget(p.request)
		if result.RequeueAfter > 0 {
			c.queue.AddAfter(p.request, result.RequeueAfter)
		}
	}
}

// wrote records a write that succeeded.
func (r *run) wrote(kind string) {
	if r.written != nil {
		r.written[kind] = len(r.world.API.history[kind])
	}
}

// waitForWrites lets the cache catch up with what the run has written.
func (r *run) waitForWrites(kind string) {
	for r.cache.views[kind].seen < r.written[kind] {
		r.cache.catchUp(kind)
	}
}

// record records an object that the current pass reads from the cache.
func (r *run) record(shared sharedObject) {
	if p := r.current(); p != nil {
		p.read[shared.object] = shared
	}
}

// checkUnchanged fails if a pass has changed an object of the cache: other passes, handlers and webhooks share it.
func (r *run) checkUnchanged(p *pass) {
	for _, shared := range p.read {
		if difference := shared.difference(); difference != "" {
			r.world.fail("%s changed %s %s in the cache (-before +after):\n%s",
				p.name, noun(shared.original), nameOf(shared.original), difference)
		}
	}
}

// current returns the pass that is running now; nil if none is.
func (r *run) current() *pass {
	if len(r.passes) == 0 {
		return nil
	}
	return r.passes[len(r.passes)-1]
}

func (r *run) name() string { return r.current().name }

// recorder adds the operator's events to the film.
type recorder struct{ run *run }

// Eventf implements [Recorder].
func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	verb := "event " + reason + ":"
	if kind == corev1.EventTypeWarning {
		verb = "warning " + reason + ":"
	}
	r.run.world.record(r.run.name(), verb, r.run.world.film.withoutKeys(fmt.Sprintf(note, args...)))
}

// reasons is a log sink that keeps the reason of the next write, for the film.
type reasons struct{ run *run }

var _ logr.LogSink = &reasons{}

// Init implements [logr.LogSink].
func (*reasons) Init(logr.RuntimeInfo) {}

// Enabled implements [logr.LogSink]: everything is logged.
func (*reasons) Enabled(int) bool { return true }

// Info implements [logr.LogSink].
func (r *reasons) Info(_ int, _ string, values ...any) {
	for i := 0; i+1 < len(values); i += 2 {
		if text, ok := values[i+1].(string); ok && values[i] == "reason" {
			r.run.reason = text
		}
	}
}

// Error implements [logr.LogSink].
func (*reasons) Error(error, string, ...any) {}

// WithValues implements [logr.LogSink].
func (r *reasons) WithValues(...any) logr.LogSink { return r }

// WithName implements [logr.LogSink].
func (r *reasons) WithName(string) logr.LogSink { return r }

// takeReason returns the reason of a write, before other passes log theirs. A write that follows without a reason of
// its own, such as the relabeling of an object that exists, has none.
func (r *run) takeReason() string {
	reason := r.reason
	r.reason = ""
	return reason
}
