// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command teardown compares ways to delete the pods of one incarnation of a group: one request for each pod, several at
// a time, or one request for all pods with a label that only this incarnation has. It runs an API server and etcd
// alone: a deleted pod is marked, and stays. With -cluster it runs a whole control plane with simulated nodes, which
// delete marked pods at once and compete for the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/measure"
)

const (
	namespace = metav1.NamespaceDefault

	// incarnationLabel has a value of its own in each round, as in each incarnation of a group.
	incarnationLabel = "incarnation"

	// parallel is how many pods are deleted at a time.
	parallel = 16

	// nodes is the number of nodes that the pods are on.
	nodes = 20

	// poll is the interval of checks of the pods between two measurements.
	poll = 200 * time.Millisecond

	// creationsParallel is how many pods this program creates at a time.
	creationsParallel = 20
)

// method is one way to delete the pods of an incarnation.
type method struct {
	name   string
	delete func(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) error
}

func methods() []method {
	return []method{
		{fmt.Sprintf("by UID, %d in step", parallel), inStep},
		{fmt.Sprintf("by UID, %d at a time", parallel), atMost(parallel)},
		{"by UID, all at once", atMost(math.MaxInt)},
		{"deletecollection by label", deleteCollection},
	}
}

// bench is a control plane to measure on.
type bench struct {
	api kubernetes.Interface
	// server is the process ID of the API server.
	server int
	// kubelets is true if nodes start pods and remove them.
	kubelets bool
	rounds   int
}

// figures are the costs of one teardown.
type figures struct {
	answered time.Duration // until the API server has answered all requests
	marked   time.Duration // until a watch has shown all pods as terminating
	cpu      time.Duration // of the API server, in steps of 10 ms
}

func main() {
	whole := flag.Bool("cluster", false, "run a whole control plane with simulated nodes")
	others := flag.Int("others", 10000, "number of other pods in the namespace, in the second half of the rounds")
	rounds := flag.Int("rounds", 11, "how often each way is measured; the table has the medians")
	flag.Parse()
	if err := run(*whole, *others, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "teardown:", err)
		os.Exit(1)
	}
}

func run(whole bool, others, rounds int) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return err
	}
	start := startServer
	if whole {
		start = startCluster
	}
	config, stop, err := start(ctx, bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	config.QPS, config.ContentType = -1, runtime.ContentTypeProtobuf
	b := &bench{kubelets: whole, rounds: rounds}
	if b.api, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if b.server, err = serverPID(); err != nil {
		return err
	}
	fmt.Println("| pods | other pods | way | answered ms | all marked ms | API server CPU ms |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	if err := b.compare(ctx, 0); err != nil || others == 0 {
		return err
	}
	if err := b.createPods(ctx, "other", others); err != nil {
		return err
	}
	return b.compare(ctx, others)
}

// startServer starts etcd and an API server. The function that it returns stops them.
func startServer(_ context.Context, bin string) (*rest.Config, func() error, error) {
	environment := &envtest.Environment{BinaryAssetsDirectory: bin}
	config, err := environment.Start()
	return config, environment.Stop, err
}

// startCluster starts a whole control plane with simulated nodes. The function that it returns stops them.
func startCluster(ctx context.Context, bin string) (*rest.Config, func() error, error) {
	dir, err := os.MkdirTemp("", "lws-operator-teardown-")
	if err != nil {
		return nil, nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Bin: bin, Nodes: nodes})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop := func() error { return errors.Join(c.Stop(context.WithoutCancel(ctx)), os.RemoveAll(dir)) }
	return c.RESTConfig(), stop, nil
}

// compare prints the medians of each way for groups of several sizes. It alternates between the ways.
func (b *bench) compare(ctx context.Context, others int) error {
	for _, size := range []int{4, 32, 128} {
		ways := methods()
		measured := make([][]figures, len(ways))
		for round := range b.rounds {
			for i, way := range ways {
				found, err := b.teardown(ctx, way, fmt.Sprintf("round-%d-%d", round, i), size)
				if err != nil {
					return fmt.Errorf("%s: %w", way.name, err)
				}
				measured[i] = append(measured[i], found)
			}
		}
		for i, way := range ways {
			fmt.Printf("| %d | %d | %s | %d | %d | %d |\n", size, others, way.name,
				median(measured[i], func(f figures) time.Duration { return f.answered }),
				median(measured[i], func(f figures) time.Duration { return f.marked }),
				median(measured[i], func(f figures) time.Duration { return f.cpu }))
		}
	}
	return nil
}

// median returns the median of a figure in milliseconds.
func median(measured []figures, of func(figures) time.Duration) int64 {
	values := make([]time.Duration, len(measured))
	for i := range measured {
		values[i] = of(measured[i])
	}
	slices.Sort(values)
	return values[len(values)/2].Round(time.Millisecond).Milliseconds()
}

// teardown creates the pods of an incarnation, measures their deletion, and removes them.
func (b *bench) teardown(ctx context.Context, way method, incarnation string, size int) (f figures, err error) {
	if err := b.createPods(ctx, incarnation, size); err != nil {
		return f, err
	}
	selected := metav1.ListOptions{LabelSelector: incarnationLabel + "=" + incarnation}
	list, err := b.api.CoreV1().Pods(namespace).List(ctx, selected)
	if err != nil {
		return f, err
	}
	watched := selected
	watched.ResourceVersion = list.ResourceVersion
	stream, err := b.api.CoreV1().Pods(namespace).Watch(ctx, watched)
	if err != nil {
		return f, err
	}
	defer stream.Stop()
	before, err := measure.UsageOf(b.server)
	if err != nil {
		return f, err
	}
	began := time.Now()
	marked := make(chan time.Duration, 1)
	go func() { marked <- untilMarked(stream, size, began) }()
	if err := way.delete(ctx, b.api, list.Items); err != nil {
		return f, err
	}
	f.answered = time.Since(began)
	select {
	case f.marked = <-marked:
	case <-ctx.Done():
		return f, ctx.Err()
	}
	after, err := measure.UsageOf(b.server)
	if err != nil {
		return f, err
	}
	f.cpu = after.CPU - before.CPU
	return f, b.remove(ctx, selected)
}

// untilMarked returns the time until the watch has shown that many pods as terminating. Zero says that the watch ended.
func untilMarked(stream watch.Interface, count int, began time.Time) time.Duration {
	marked := map[string]bool{}
	for event := range stream.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if ok && (pod.DeletionTimestamp != nil || event.Type == watch.Deleted) {
			if marked[pod.Name] = true; len(marked) == count {
				return time.Since(began)
			}
		}
	}
	return 0
}

// remove removes pods without a grace period, and waits until they are gone.
func (b *bench) remove(ctx context.Context, selected metav1.ListOptions) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
	if err := b.api.CoreV1().Pods(namespace).DeleteCollection(ctx, now, selected); err != nil {
		return err
	}
	return b.until(ctx, selected, func(pods []corev1.Pod) bool { return len(pods) == 0 })
}

// until waits until the selected pods are as they should be.
func (b *bench) until(ctx context.Context, selected metav1.ListOptions, done func([]corev1.Pod) bool) error {
	return wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		list, err := b.api.CoreV1().Pods(namespace).List(ctx, selected)
		if err != nil {
			return false, err
		}
		return done(list.Items), nil
	})
}

// inStep deletes a number of pods at a time, and the next ones once all of these requests have ended.
func inStep(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) error {
	for together := range slices.Chunk(pods, parallel) {
		if err := atMost(parallel)(ctx, api, together); err != nil {
			return err
		}
	}
	return nil
}

// atMost returns the way of one request for each pod, with a limit of requests at the same time.
func atMost(limit int) func(context.Context, kubernetes.Interface, []corev1.Pod) error {
	return func(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) error {
		return forEach(ctx, min(limit, len(pods)), len(pods), func(i int) error {
			return api.CoreV1().Pods(namespace).Delete(ctx, pods[i].Name, metav1.DeleteOptions{
				Preconditions: metav1.NewUIDPreconditions(string(pods[i].UID)),
			})
		})
	}
}

// deleteCollection is the way of one request for all pods.
func deleteCollection(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) error {
	selector := incarnationLabel + "=" + pods[0].Labels[incarnationLabel]
	return api.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: selector})
}

// createPods creates pods on nodes, so that their deletion waits for a kubelet. If there are kubelets, it waits until
// the pods run.
func (b *bench) createPods(ctx context.Context, incarnation string, count int) error {
	err := forEach(ctx, creationsParallel, count, func(i int) error {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%d", incarnation, i), Labels: map[string]string{incarnationLabel: incarnation},
			},
			Spec: corev1.PodSpec{
				NodeName:   fmt.Sprintf("node-%d", i%nodes),
				Containers: []corev1.Container{{Name: "server", Image: "registry.k8s.io/pause:3.10"}},
			},
		}
		_, err := b.api.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
	if err != nil || !b.kubelets {
		return err
	}
	selected := metav1.ListOptions{LabelSelector: incarnationLabel + "=" + incarnation}
	return b.until(ctx, selected, func(pods []corev1.Pod) bool {
		return !slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return pod.Status.Phase != corev1.PodRunning })
	})
}

// forEach calls the function for each number below count, some at a time. It returns the first error.
func forEach(ctx context.Context, atOnce, count int, do func(int) error) error {
	errs := make([]error, count)
	workqueue.ParallelizeUntil(ctx, atOnce, count, func(i int) { errs[i] = do(i) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// serverPID returns the process ID of the API server, which is a child of this process.
func serverPID() (int, error) {
	const serverName = "kube-apiserver"
	processes, err := procfs.AllProcs()
	if err != nil {
		return 0, err
	}
	for _, process := range processes {
		stat, err := process.Stat()
		if err == nil && stat.PPID == os.Getpid() && stat.Comm == serverName {
			return process.PID, nil
		}
	}
	return 0, errors.New("the API server doesn't run")
}
