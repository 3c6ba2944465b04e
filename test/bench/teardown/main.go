// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command teardown compares two ways to delete the pods of one incarnation of a group: one request for each pod, several
// at a time, and one request for all pods with a label that only this incarnation has. It runs an API server and etcd
// alone: a deleted pod is marked, and stays.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
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

	// operatorParallel is how many pods the operator deletes at a time.
	operatorParallel = 16

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
		{fmt.Sprintf("delete by UID, %d at a time", operatorParallel), inParallel(operatorParallel)},
		{"delete by UID, all at a time", inParallel(0)},
		{"deletecollection by label", deleteCollection},
	}
}

// figures are the costs of one teardown.
type figures struct {
	answered time.Duration // until the API server has answered all requests
	marked   time.Duration // until a watch has shown all pods as terminating
	cpu      time.Duration // of the API server, in steps of 10 ms
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	others := flag.Int("others", 10000, "number of other pods in the namespace, in the second half of the rounds")
	rounds := flag.Int("rounds", 7, "how often each way is measured; the table has the medians")
	flag.Parse()
	if err := run(ctx, *others, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "teardown:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, others, rounds int) (err error) {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return err
	}
	environment := &envtest.Environment{BinaryAssetsDirectory: bin}
	config, err := environment.Start()
	if err != nil {
		return err
	}
	defer func() {
		if stopped := environment.Stop(); err == nil {
			err = stopped
		}
	}()
	config.QPS, config.ContentType = -1, runtime.ContentTypeProtobuf
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	server, err := serverPID()
	if err != nil {
		return err
	}
	fmt.Println("| pods | other pods | way | answered ms | all marked ms | API server CPU ms |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	if err := compare(ctx, api, server, 0, rounds); err != nil {
		return err
	}
	if err := createPods(ctx, api, "other", others); err != nil {
		return err
	}
	return compare(ctx, api, server, others, rounds)
}

// compare prints the medians of each way for groups of several sizes. It alternates between the ways.
func compare(ctx context.Context, api kubernetes.Interface, server, others, rounds int) error {
	for _, size := range []int{4, 32, 128} {
		ways := methods()
		measured := make([][]figures, len(ways))
		for round := range rounds {
			for i, way := range ways {
				found, err := teardown(ctx, api, server, way, fmt.Sprintf("round-%d-%d", round, i), size)
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
func teardown(
	ctx context.Context, api kubernetes.Interface, server int, way method, incarnation string, size int,
) (f figures, err error) {
	if err := createPods(ctx, api, incarnation, size); err != nil {
		return f, err
	}
	selected := metav1.ListOptions{LabelSelector: incarnationLabel + "=" + incarnation}
	list, err := api.CoreV1().Pods(namespace).List(ctx, selected)
	if err != nil {
		return f, err
	}
	watched := selected
	watched.ResourceVersion = list.ResourceVersion
	stream, err := api.CoreV1().Pods(namespace).Watch(ctx, watched)
	if err != nil {
		return f, err
	}
	defer stream.Stop()
	before, err := measure.UsageOf(server)
	if err != nil {
		return f, err
	}
	began := time.Now()
	marked := make(chan time.Duration, 1)
	go func() { marked <- untilMarked(stream, size, began) }()
	if err := way.delete(ctx, api, list.Items); err != nil {
		return f, err
	}
	f.answered = time.Since(began)
	select {
	case f.marked = <-marked:
	case <-ctx.Done():
		return f, ctx.Err()
	}
	after, err := measure.UsageOf(server)
	if err != nil {
		return f, err
	}
	f.cpu = after.CPU - before.CPU
	return f, api.CoreV1().Pods(namespace).DeleteCollection(ctx,
		metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}, selected)
}

// untilMarked returns the time until the watch has shown that many pods as terminating. Zero says that the watch ended.
func untilMarked(stream watch.Interface, count int, began time.Time) time.Duration {
	marked := map[string]bool{}
	for event := range stream.ResultChan() {
		if pod, ok := event.Object.(*corev1.Pod); ok && pod.DeletionTimestamp != nil {
			if marked[pod.Name] = true; len(marked) == count {
				return time.Since(began)
			}
		}
	}
	return 0
}

// inParallel returns the way of one request for each pod, a number at a time as the operator does: the next ones begin
// once all have ended. With 0, all begin at once.
func inParallel(parallel int) func(context.Context, kubernetes.Interface, []corev1.Pod) error {
	return func(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) error {
		atOnce := parallel
		if atOnce == 0 {
			atOnce = len(pods)
		}
		for together := range slices.Chunk(pods, atOnce) {
			err := forEach(ctx, len(together), len(together), func(i int) error {
				return api.CoreV1().Pods(namespace).Delete(ctx, together[i].Name, metav1.DeleteOptions{
					Preconditions: metav1.NewUIDPreconditions(string(together[i].UID)),
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// deleteCollection is the way of one request for all pods.
func deleteCollection(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) error {
	selector := incarnationLabel + "=" + pods[0].Labels[incarnationLabel]
	return api.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: selector})
}

// createPods creates pods on a node, so that their deletion waits for a kubelet.
func createPods(ctx context.Context, api kubernetes.Interface, incarnation string, count int) error {
	return forEach(ctx, creationsParallel, count, func(i int) error {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%d", incarnation, i), Labels: map[string]string{incarnationLabel: incarnation},
			},
			Spec: corev1.PodSpec{
				NodeName:   "node",
				Containers: []corev1.Container{{Name: "server", Image: "registry.k8s.io/pause:3.10"}},
			},
		}
		_, err := api.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
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
	processes, err := procfs.AllProcs()
	if err != nil {
		return 0, err
	}
	for _, process := range processes {
		stat, err := process.Stat()
		if err == nil && stat.PPID == os.Getpid() && stat.Comm == "kube-apiserver" {
			return process.PID, nil
		}
	}
	return 0, errors.New("the API server doesn't run")
}
