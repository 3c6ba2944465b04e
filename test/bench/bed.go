// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
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

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/bench/report"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	// podsPoll and statusPoll are the intervals of checks of the pods and of the status. This process watches the pods,
	// but reads the status by a request.
	podsPoll, statusPoll = 10 * time.Millisecond, 50 * time.Millisecond

	// progressInterval is the time between two lines about a running scenario.
	progressInterval = 10 * time.Second

	// restTimeout is how long a controller may take to come to rest.
	restTimeout = time.Minute

	// The users of two controllers of Kubernetes.
	statefulSetController = "system:serviceaccount:kube-system:statefulset-controller"
	garbageCollector      = "system:serviceaccount:kube-system:generic-garbage-collector"
)

// errUnfinished is the error of a scenario that takes longer than the timeout.
var errUnfinished = errors.New("it took too long")

// bed is a cluster, with or without a controller, with clients and the watch of its pods.
type bed struct {
	options options
	nodes   int
	cluster *cluster.Cluster
	api     kubernetes.Interface
	sets    client.Client // for LeaderWorkerSets and DisaggregatedSets
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
		cancel() // End the watches first.
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
		Dir: dir, Bin: o.bin, Nodes: nodes, CRDs: o.controller.CRDs, Audit: true, DefaultLimits: o.profile == report.Defaults,
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
	if err := errors.Join(leaderworkersetv1.AddToScheme(scheme), disaggregatedsetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	config := b.cluster.RESTConfig()
	var err error
	if b.sets, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	// The watch of thousands of pods runs on the measured machine. Protobuf makes it cheaper.
	config.ContentType = runtime.ContentTypeProtobuf
	if b.api, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if err := b.makeNamespace(ctx, namespace); err != nil {
		return err
	}
	return b.groups.watchPods(ctx, b.api, namespace)
}

func (b *bed) makeNamespace(ctx context.Context, name string) error {
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := b.api.CoreV1().Namespaces().Create(ctx, made, metav1.CreateOptions{})
	return err
}

// install starts the controller under test.
func (b *bed) install(ctx context.Context) (err error) {
	b.controller, err = operator.InstallController(ctx, b.cluster, b.options.root, b.options.controller)
	return err
}

// until repeats a check until it returns no error. It prints the last error at every progressInterval.
func (b *bed) until(ctx context.Context, what string, poll time.Duration, check func(context.Context) error) error {
	var last error
	reported := time.Now()
	err := wait.PollUntilContextTimeout(ctx, poll, b.options.timeout, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		if time.Since(reported) > progressInterval && last != nil {
			reported = time.Now()
			b.options.progress.say("  %s: %v", what, last)
		}
		return last == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUnfinished, last)
	}
	return err
}

// task is one scenario, and the state that it has to reach.
type task struct {
	key report.Key
	// prepare runs before the time is measured. do starts the work. Both may be nil.
	prepare, do func(context.Context) error
	// pods returns an error until the pods are in the desired state. status returns an error until the status of the set
	// reports that. Both may be nil. statusPoll overrides the interval of checks of the status.
	pods       func(context.Context) error
	status     func(context.Context) error
	statusPoll time.Duration
	// rollout is true if the result counts ready groups.
	rollout bool
	// killed has the name of the killed pod of each group that has to restart.
	killed map[int]string
}

// measure runs a task, waits until the controller is at rest, and returns the costs. Without a controller, it waits for
// the StatefulSet controller instead. A task that takes too long gives a result with an error. The error that measure
// returns is an error of the benchmark itself.
func (b *bed) measure(ctx context.Context, t task) (report.Result, error) {
	t.key.Profile = b.options.profile
	b.options.progress.say("%d × %d, %s: %s", t.key.Groups, t.key.Size, t.key.Profile, t.key.Scenario)
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
	if err := b.untilRest(ctx, costs.mark, b.restingUser()); err != nil {
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

// run runs a task and measures the time.
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
	if marked, all := b.groups.allMarked(); all && t.key.Scenario == report.Recovery {
		result.MarkedSeconds = marked.Sub(began).Seconds()
	}
	if t.status != nil {
		if err := b.until(ctx, t.key.Scenario, cmp.Or(t.statusPoll, statusPoll), t.status); err != nil {
			return err
		}
		result.StatusSeconds = time.Since(began).Seconds()
	}
	return nil
}

// costs are the costs of the cluster and the controller before a scenario. Without a controller, its costs are zero.
type costs struct {
	mark    measure.Mark
	cluster time.Duration // CPU time
	pid     int
	usage   measure.Usage
	passes  *float64
}

// begin reads the costs before a scenario.
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

// clusterCPU returns the CPU time that the components of the cluster have taken.
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

// end adds the costs of the cluster and the controller since begin to the result. For a process that started since
// begin, the costs start at zero.
func (b *bed) end(ctx context.Context, from costs, result *report.Result) error {
	cluster, err := b.clusterCPU()
	if err != nil {
		return err
	}
	result.ClusterCPUSeconds = (cluster - from.cluster).Seconds()
	requests, _, err := measure.Requests(b.cluster.AuditLog(), from.mark, "")
	if err != nil {
		return err
	}
	countAll(requests, b.options.controller.User, result)
	if b.controller == nil {
		return nil
	}
	count(requests, b.options.controller.User, result)
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
	return nil
}

// countAll adds the requests of all users to the result, by sender.
func countAll(requests []measure.Request, controller string, result *report.Result) {
	result.ClusterRequests = map[string]map[string]int{}
	for _, request := range requests {
		if !request.IsWrite() && !request.IsRead() || request.Verb == "watch" {
			continue
		}
		sender := senderOf(request.User.Username, controller)
		if result.ClusterRequests[sender] == nil {
			result.ClusterRequests[sender] = map[string]int{}
		}
		result.ClusterRequests[sender][request.Verb+" "+request.Resource()]++
	}
}

// senderOf returns who a user is in reports.
func senderOf(user, controller string) string {
	switch user {
	case controller:
		return report.Operator
	case statefulSetController:
		return report.StatefulSetController
	case garbageCollector:
		return report.GarbageCollector
	case "system:kube-scheduler":
		return report.Scheduler
	case "kwok":
		return report.Nodes
	case "admin":
		return report.Client
	default:
		return report.Others
	}
}

// count adds the requests of a controller to the result.
func count(requests []measure.Request, controller string, result *report.Result) {
	result.Writes, result.Reads, result.FailedWrites = map[string]int{}, map[string]int{}, map[string]int{}
	for _, request := range requests {
		if request.User.Username != controller {
			continue
		}
		kind := request.Verb + " " + request.Resource()
		switch {
		case request.IsRead():
			result.Reads[kind]++
		case request.IsWrite():
			result.Writes[kind]++
			if request.Failed() {
				result.FailedWrites[fmt.Sprintf("%d %s", request.ResponseStatus.Code, kind)]++
			}
		}
	}
}

// passes returns how many passes the controller has made since its start. It returns nil without a controller, or if
// the controller has no such metric.
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

// restingUser returns the user whose rest ends a scenario.
func (b *bed) restingUser() string {
	if b.controller == nil {
		return statefulSetController
	}
	return b.options.controller.User
}

// untilRest waits until a controller is at rest: it has made no request for the time of -rest.
func (b *bed) untilRest(ctx context.Context, since measure.Mark, user string) error {
	const interval = 100 * time.Millisecond
	last := time.Now()
	err := wait.PollUntilContextTimeout(ctx, interval, restTimeout, true, func(context.Context) (bool, error) {
		requests, next, err := measure.Requests(b.cluster.AuditLog(), since, user)
		since = next
		for _, request := range requests {
			// Clients renew watches from time to time, even at rest.
			if request.IsWrite() || request.IsRead() && request.Verb != "watch" {
				last = time.Now()
			}
		}
		return time.Since(last) >= b.options.rest, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		b.options.progress.say("  %s doesn't come to rest", user)
		return nil
	}
	return err
}

// summary returns a line about a result.
func summary(r *report.Result) string {
	text := fmt.Sprintf("%.2f s, %d writes, %.2f s of CPU, peak %.0f MiB",
		r.Seconds, report.Sum(r.Writes), r.CPUSeconds, r.PeakMiB)
	if r.MarkedSeconds > 0 {
		text += fmt.Sprintf(", marked after %.2f s", r.MarkedSeconds)
	}
	return text
}
