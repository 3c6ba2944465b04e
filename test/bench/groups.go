// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/leaderworkerset/lws-operator/test/bench/report"
)

// groups counts the pods of a namespace and the groups that they make up, as a watch tells of them. Every state that it passes through is
// one that the API server had. It keeps sums, so that each event costs the same however many groups there are.
type groups struct {
	mutex sync.Mutex
	size  int // pods that a complete group has
	pods  map[string]member
	// readyIn is the number of ready pods by group, readyWith by image.
	readyIn   map[int]int
	readyWith map[string]int
	complete  int // groups whose pods are all ready
	// fewest is the smallest number of complete groups, and born how many pods of each name were created, both since begin.
	fewest int
	born   map[string]int
	err    error
}

// member is what is kept of a pod.
type member struct {
	uid   types.UID
	image string
	ready bool
}

func newGroups() *groups {
	return &groups{pods: map[string]member{}, readyIn: map[int]int{}, readyWith: map[string]int{}, born: map[string]int{}}
}

// follow counts the pods of a namespace from now on, of which there are none yet, until the context is done.
func (g *groups) follow(ctx context.Context, api kubernetes.Interface, namespace string) error {
	list, err := api.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	if len(list.Items) > 0 {
		return fmt.Errorf("there are pods in namespace %s", namespace)
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
			g.see(event)
		}
	}()
	return nil
}

// begin starts a scenario whose complete groups have that many pods.
func (g *groups) begin(size int) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.size, g.complete = size, 0
	for _, ready := range g.readyIn {
		if ready == size {
			g.complete++
		}
	}
	g.fewest, g.born = g.complete, map[string]int{}
}

// see counts an event of the watch.
func (g *groups) see(event watch.Event) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	pod, ok := event.Object.(*corev1.Pod)
	if !ok {
		g.err = fmt.Errorf("the API server broke off the watch: %v", event.Object)
		return
	}
	before := g.pods[pod.Name]
	var after member
	if event.Type == watch.Deleted {
		delete(g.pods, pod.Name)
	} else {
		after = member{uid: pod.UID, image: pod.Spec.Containers[0].Image, ready: isReady(pod)}
		g.pods[pod.Name] = after
	}
	if after.uid != "" && after.uid != before.uid {
		g.born[pod.Name]++
	}
	g.count(pod.Name, before, -1)
	g.count(pod.Name, after, 1)
	g.fewest = min(g.fewest, g.complete)
}

// count adds a pod to the sums, or takes it away.
func (g *groups) count(name string, pod member, by int) {
	if !pod.ready {
		return
	}
	g.readyWith[pod.image] += by
	group := groupOf(name)
	if g.readyIn[group] == g.size {
		g.complete--
	}
	g.readyIn[group] += by
	if g.readyIn[group] == g.size {
		g.complete++
	}
}

// are is nil if there are that many pods, all of them ready with the image; or else it says what is missing.
func (g *groups) are(pods int, image string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	switch {
	case g.err != nil:
		return g.err
	case len(g.pods) != pods || g.readyWith[image] != pods:
		return fmt.Errorf("%d of %d pods are ready, and %d there", g.readyWith[image], pods, len(g.pods))
	default:
		return nil
	}
}

// isBack says whether all pods of a group were created since begin, and are ready.
func (g *groups) isBack(group int) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.readyIn[group] != g.size {
		return false
	}
	for worker := range g.size {
		if g.born[podName(group, worker)] == 0 {
			return false
		}
	}
	return true
}

// fewestReady is the smallest number of groups that were ready at a time since begin.
func (g *groups) fewestReady() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.fewest
}

// restarts tells what became since begin of groups of which a pod was killed: killed holds its name. That pod may have been created twice:
// its StatefulSet replaces it before the group goes down.
func (g *groups) restarts(killed map[int]string) report.Restarts {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	names, again := map[int]int{}, map[int]bool{}
	for name, times := range g.born {
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
		case count == g.size && g.readyIn[group] == g.size:
			r.Restarted++
		}
	}
	return r
}

// podName is the name of a group's pod; worker 0 is its leader.
func podName(group, worker int) string {
	if worker == 0 {
		return fmt.Sprintf("%s-%d", setName, group)
	}
	return fmt.Sprintf("%s-%d-%d", setName, group, worker)
}

// groupOf is the index of the group that a pod of the set belongs to: 3 for "bench-3" and "bench-3-1". It is -1 for other pods.
func groupOf(pod string) int {
	rest, ok := strings.CutPrefix(pod, setName+"-")
	index, _, _ := strings.Cut(rest, "-")
	group, err := strconv.Atoi(index)
	if !ok || err != nil {
		return -1
	}
	return group
}

// isReady says whether a pod is ready and stays.
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
