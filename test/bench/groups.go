// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
)

// groups counts the pods of a namespace, and the groups that they form, from the events of a watch. Each of its states
// is one that the API server had. It keeps sums, so that the cost of an event doesn't depend on the number of groups.
type groups struct {
	mutex sync.Mutex
	size  int // number of pods in a complete group
	pods  map[string]podState
	// readyByGroup and readyByImage are numbers of ready pods.
	readyByGroup map[int]int
	readyByImage map[string]int
	complete     int // number of groups whose pods are all ready
	// fewest is the smallest number of complete groups since begin. created is how many pods of each name were created
	// since begin.
	fewest  int
	created map[string]int
	// unmarked are the pods from before begin that aren't marked for deletion. marked is when the last of them was.
	unmarked map[types.UID]bool
	marked   time.Time
	err      error
}

// podState has what groups needs to know of a pod.
type podState struct {
	uid   types.UID
	image string
	ready bool
}

func newGroups() *groups {
	return &groups{
		pods:         map[string]podState{},
		readyByGroup: map[int]int{}, readyByImage: map[string]int{},
		created: map[string]int{},
	}
}

// watchPods counts the pods of a namespace until the context is done. The namespace must have no pods before.
func (g *groups) watchPods(ctx context.Context, api kubernetes.Interface, namespace string) error {
	list, err := api.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	if len(list.Items) > 0 {
		return fmt.Errorf("namespace %s already has pods", namespace)
	}
	stream, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return api.CoreV1().Pods(namespace).Watch(ctx, options)
		},
	})
	if err != nil {
		return err
	}
	go func() {
		defer stream.Stop()
		for event := range stream.ResultChan() {
			g.observe(event)
		}
	}()
	return nil
}

// begin starts the counts of a scenario. Its complete groups have size pods.
func (g *groups) begin(size int) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.size, g.complete = size, 0
	for _, ready := range g.readyByGroup {
		if ready == size {
			g.complete++
		}
	}
	g.fewest, g.created = g.complete, map[string]int{}
	g.unmarked, g.marked = make(map[types.UID]bool, len(g.pods)), time.Time{}
	for _, pod := range g.pods {
		g.unmarked[pod.uid] = true
	}
}

// observe counts an event of the watch.
func (g *groups) observe(event watch.Event) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	pod, ok := event.Object.(*corev1.Pod)
	if !ok {
		g.err = fmt.Errorf("the API server ended the watch: %v", event.Object)
		return
	}
	before := g.pods[pod.Name]
	var after podState
	if event.Type == watch.Deleted || pod.DeletionTimestamp != nil {
		g.mark(pod.UID)
	}
	if event.Type == watch.Deleted {
		delete(g.pods, pod.Name)
	} else {
		after = podState{uid: pod.UID, image: pod.Spec.Containers[0].Image, ready: isReady(pod)}
		g.pods[pod.Name] = after
	}
	if after.uid != "" && after.uid != before.uid {
		g.created[pod.Name]++
	}
	g.count(pod.Name, before, -1)
	g.count(pod.Name, after, 1)
	g.fewest = min(g.fewest, g.complete)
}

// mark counts a pod that is terminating or deleted.
func (g *groups) mark(pod types.UID) {
	if !g.unmarked[pod] {
		return
	}
	delete(g.unmarked, pod)
	if len(g.unmarked) == 0 {
		g.marked = time.Now()
	}
}

// count adds a pod to the sums, or subtracts it.
func (g *groups) count(name string, pod podState, by int) {
	if !pod.ready {
		return
	}
	g.readyByImage[pod.image] += by
	group := groupOf(name)
	if g.readyByGroup[group] == g.size {
		g.complete--
	}
	g.readyByGroup[group] += by
	if g.readyByGroup[group] == g.size {
		g.complete++
	}
}

// check returns an error unless there are that many pods, all of them ready with the image.
func (g *groups) check(pods int, image string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	switch {
	case g.err != nil:
		return g.err
	case len(g.pods) != pods || g.readyByImage[image] != pods:
		return fmt.Errorf("%d of %d pods are ready, %d exist", g.readyByImage[image], pods, len(g.pods))
	default:
		return nil
	}
}

// recreated reports whether all pods of a group were created since begin, and are ready.
func (g *groups) recreated(group int) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.readyByGroup[group] != g.size {
		return false
	}
	for worker := range g.size {
		if g.created[podName(group, worker)] == 0 {
			return false
		}
	}
	return true
}

// allMarked returns when the last pod from before begin was marked for deletion. It returns false if one isn't.
func (g *groups) allMarked() (time.Time, bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.marked, !g.marked.IsZero()
}

// fewestReady returns the smallest number of groups that were ready at the same time since begin.
func (g *groups) fewestReady() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.fewest
}

// restarts counts the restarts since begin. killed has the name of the killed pod of each group. That pod may have been
// created twice, because its StatefulSet can replace it before the group restarts.
func (g *groups) restarts(killed map[int]string) report.Restarts {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	names, again := map[int]int{}, map[int]bool{}
	for name, times := range g.created {
		group := groupOf(name)
		names[group]++
		if times > 1 && (name != killed[group] || times > 2) {
			again[group] = true
		}
	}
	r := report.Restarts{Killed: len(killed), Again: len(again)}
	for group, count := range names {
		switch _, expected := killed[group]; {
		case !expected:
			r.Others++
		case count == g.size && g.readyByGroup[group] == g.size:
			r.Restarted++
		}
	}
	return r
}

// podName returns the name of a group's pod. Worker 0 is the leader.
func podName(group, worker int) string {
	if worker == 0 {
		return fmt.Sprintf("%s-%d", setName, group)
	}
	return fmt.Sprintf("%s-%d-%d", setName, group, worker)
}

// groupOf returns the index of the group that a pod of the set belongs to: 3 for "bench-3" and "bench-3-1". It returns
// -1 for other pods. For a pod of one of many sets, it returns the number of the set.
func groupOf(pod string) int {
	rest, ok := strings.CutPrefix(pod, setName+"-")
	index, _, _ := strings.Cut(rest, "-")
	group, err := strconv.Atoi(index)
	if !ok || err != nil {
		return -1
	}
	return group
}

// isReady reports whether a pod is ready and not terminating.
func isReady(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
