// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/bench/report"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	// podsPoll and statusPoll are the intervals at which something that is waited for is looked at. What pods do is known in this process;
	// the status takes a request.
	podsPoll, statusPoll = 10 * time.Millisecond, 50 * time.Millisecond

	// progressInterval is the time between two lines about a scenario that goes on.
	progressInterval = 10 * time.Second

	// restTimeout is how long a controller may take to come to rest.
	restTimeout = time.Minute
)

// errUnfinished is why a scenario is given up.
var errUnfinished = errors.New("it took too long")

// bed is a cluster, with or without a controller, and what is watched in it.
type bed struct {
	options options
	nodes   int
	cluster *cluster.Cluster
	api     kubernetes.Interface
	sets    client.Client // of LeaderWorkerSets
	groups  *groups

	// controller is nil before install.
	controller *operator.Operator
}

// withBed starts a cluster, calls the function, and stops the cluster.
func withBed(ctx context.Context, o options, run func(context.Context, *bed) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		cancel() // ends the watches first
		err = errors.Join(err, b.stop(ctx))
	}()
	return run(ctx, b)
}

func newBed(ctx context.Context, o options) (*bed, error) {
	dir, err := os.MkdirTemp("", "lws-operator-bench-")
	if err != nil {
		return nil, err
	}
	const nodes = 20 // with room for 1000 pods each
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: o.bin, Nodes: nodes, CRDs: o.controller.CRDs, Audit: true,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b := &bed{options: o, nodes: nodes, cluster: c, groups: newGroups()}
	if err := b.connect(ctx); err != nil {
		return nil, errors.Join(err, b.stop(ctx))
	}
	return b, nil
}

func (b *bed) stop(ctx context.Context) error {
	return errors.Join(b.cluster.Stop(context.WithoutCancel(ctx)), os.RemoveAll(b.cluster.Dir()))
}

// connect makes the clients and begins to count pods.
func (b *bed) connect(ctx context.Context) error {
	scheme := runtime.NewScheme()
	if err := leaderworkersetv1.AddToScheme(scheme); err != nil {
		return err
	}
	config := b.cluster.RESTConfig()
	var err error
	if b.sets, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	// Thousands of pods are watched on the machine that is measured: their shorter encoding takes less of it.
	config.ContentType = runtime.ContentTypeProtobuf
	if b.api, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if err := b.makeNamespace(ctx, namespace); err != nil {
		return err
	}
	return b.groups.follow(ctx, b.api, namespace)
}

func (b *bed) makeNamespace(ctx context.Context, name string) error {
	_, err := b.api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// install starts the controller under test.
func (b *bed) install(ctx context.Context) (err error) {
	b.controller, err = operator.InstallController(ctx, b.cluster, b.options.root, b.options.controller)
	return err
}

// until waits until the check finds nothing wrong, and tells now and then what it finds.
func (b *bed) until(ctx context.Context, what string, poll time.Duration, check func(context.Context) error) error {
	var last error
	told := time.Now()
	err := wait.PollUntilContextTimeout(ctx, poll, b.options.timeout, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		if time.Since(told) > progressInterval && last != nil {
			told = time.Now()
			b.options.progress.say("  %s: %v", what, last)
		}
		return last == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUnfinished, last)
	}
	return err
}

// task is what a scenario has to do and what is expected of it.
type task struct {
	key report.Key
	// prepare is done before the time is taken, and do starts the work. Both may be nil.
	prepare, do func(context.Context) error
	// pods says what is still missing before the pods are as they should be, told what the status doesn't say yet. Both may be nil.
	pods func(context.Context) error
	told func(context.Context) error
	// rollout says that ready groups are counted, killed are the pods whose groups have to restart.
	rollout bool
	killed  map[int]string
}

// measure does a task, waits until the controller rests, and says what it all took. A task that isn't finished is a result with an error;
// the error it returns is one of the benchmark itself.
func (b *bed) measure(ctx context.Context, t task) (report.Result, error) {
	b.options.progress.say("%d × %d: %s", t.key.Groups, t.key.Size, t.key.Scenario)
	b.groups.begin(t.key.Size)
	costs, err := b.begin(ctx)
	if err != nil {
		return report.Result{}, err
	}
	result := report.Result{Key: t.key}
	if err := b.run(ctx, t, &result); err != nil {
		if !errors.Is(err, errUnfinished) {
			return result, err
		}
		b.options.progress.say("  %v", err)
		result.Error = err.Error()
	}
	if err := b.untilRest(ctx, costs.mark); err != nil {
		return result, err
	}
	if err := b.end(ctx, costs, &result); err != nil {
		return result, err
	}
	if t.rollout {
		fewest := b.groups.fewestReady()
		result.FewestReady = &fewest
	}
	if t.killed != nil {
		restarts := b.groups.restarts(t.killed)
		result.Restarts = &restarts
	}
	b.options.progress.say("  %s", summary(&result))
	return result, nil
}

// run does a task and takes the time.
func (b *bed) run(ctx context.Context, t task, result *report.Result) error {
	if t.prepare != nil {
		if err := t.prepare(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	if t.do != nil {
		if err := t.do(ctx); err != nil {
			return err
		}
	}
	if t.pods != nil {
		if err := b.until(ctx, t.key.Scenario, podsPoll, t.pods); err != nil {
			return err
		}
	}
	result.Seconds = time.Since(began).Seconds()
	if t.told != nil {
		if err := b.until(ctx, t.key.Scenario, statusPoll, t.told); err != nil {
			return err
		}
		result.StatusSeconds = time.Since(began).Seconds()
	}
	return nil
}

// costs are what the cluster and the controller had taken when a scenario began. Those of a controller are zero without one.
type costs struct {
	mark    measure.Mark
	cluster time.Duration // of CPU
	pid     int
	usage   measure.Usage
	passes  *float64
}

// begin reads what a scenario starts from.
func (b *bed) begin(ctx context.Context) (costs, error) {
	c := costs{passes: b.passes(ctx)}
	var err error
	if c.cluster, err = b.clusterCPU(); err != nil {
		return c, err
	}
	if c.mark, err = measure.End(b.cluster.AuditLog()); err != nil || b.controller == nil {
		return c, err
	}
	c.pid = b.controller.PID()
	if err := measure.ResetPeak(c.pid); err != nil {
		return c, err
	}
	c.usage, err = measure.UsageOf(c.pid)
	return c, err
}

// clusterCPU is the CPU time that the components of the cluster have taken.
func (b *bed) clusterCPU() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range b.cluster.PIDs() {
		usage, err := measure.UsageOf(pid)
		if err != nil {
			return 0, err
		}
		sum += usage.CPU
	}
	return sum, nil
}

// end adds to the result what the cluster and the controller took since begin. A process that was started since then began with nothing.
func (b *bed) end(ctx context.Context, from costs, result *report.Result) error {
	cluster, err := b.clusterCPU()
	if err != nil {
		return err
	}
	result.ClusterCPUSeconds = (cluster - from.cluster).Seconds()
	if b.controller == nil {
		return nil
	}
	usage, err := measure.UsageOf(b.controller.PID())
	if err != nil {
		return err
	}
	if b.controller.PID() != from.pid {
		from.usage.CPU, from.passes = 0, new(float64)
	}
	const mebibyte = 1 << 20
	result.CPUSeconds = (usage.CPU - from.usage.CPU).Seconds()
	result.ResidentMiB, result.PeakMiB = float64(usage.Resident)/mebibyte, float64(usage.Peak)/mebibyte
	result.AnonymousMiB = float64(usage.Anonymous) / mebibyte
	if passes := b.passes(ctx); passes != nil && from.passes != nil {
		*passes -= *from.passes
		result.Passes = passes
	}
	requests, _, err := measure.Requests(b.cluster.AuditLog(), from.mark, b.options.controller.User)
	count(requests, result)
	return err
}

// count adds requests to the result.
func count(requests []measure.Request, result *report.Result) {
	result.Writes, result.Reads, result.FailedWrites = map[string]int{}, map[string]int{}, map[string]int{}
	for _, request := range requests {
		what := request.Verb + " " + request.Resource()
		switch {
		case request.IsRead():
			result.Reads[what]++
		case request.IsWrite():
			result.Writes[what]++
			if request.Failed() {
				result.FailedWrites[fmt.Sprintf("%d %s", request.ResponseStatus.Code, what)]++
			}
		}
	}
}

// passes is how many passes the controller has made since its start, nil if there is no controller or it doesn't tell.
func (b *bed) passes(ctx context.Context) *float64 {
	if b.controller == nil {
		return nil
	}
	text, err := b.controller.Metrics(ctx)
	if err != nil {
		return nil
	}
	sum, err := measure.Sum(text, measure.Reconciles)
	if err != nil {
		return nil
	}
	return &sum
}

// untilRest waits until the controller has asked for nothing for a while.
func (b *bed) untilRest(ctx context.Context, since measure.Mark) error {
	if b.controller == nil {
		return nil
	}
	const interval = 100 * time.Millisecond
	last := time.Now()
	err := wait.PollUntilContextTimeout(ctx, interval, restTimeout, true, func(context.Context) (bool, error) {
		requests, next, err := measure.Requests(b.cluster.AuditLog(), since, b.options.controller.User)
		since = next
		for _, request := range requests {
			// Watches are asked for again now and then, whatever happens.
			if request.IsWrite() || request.IsRead() && request.Verb != "watch" {
				last = time.Now()
			}
		}
		return time.Since(last) >= b.options.rest, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		b.options.progress.say("  the controller doesn't come to rest")
		return nil
	}
	return err
}

// summary is a line about a result.
func summary(r *report.Result) string {
	return fmt.Sprintf("%.2f s, %d writes, %.2f s of CPU, peak %.0f MiB", r.Seconds, report.Sum(r.Writes), r.CPUSeconds, r.PeakMiB)
}
