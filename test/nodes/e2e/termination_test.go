// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
)

// drain is how long the pods of these tests take to end.
const drain = 5 * time.Second

// TestTermination checks that all pods of a restarting group, or of a deleted set, terminate at the same time. Each pod
// gets its whole grace period.
func TestTermination(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*testing.T, *leaderworkersetv1.LeaderWorkerSet){
		"group restarts": func(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
			t.Helper()
			crash(t, suite.Pods(t, lws)["peers-0-1"])
		},
		"leader is deleted": func(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
			t.Helper()
			suite.Remove(t, suite.Pods(t, lws)["peers-0"])
		},
		"set is deleted": func(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
			t.Helper()
			suite.Remove(t, lws, client.PropagationPolicy("Background"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lws := suite.NewSet(suite.NewNamespace(t), "peers", 1, 3, bed.Draining(drain))
			suite.Create(t, lws)
			suite.UntilAvailable(t, lws)
			ends := watchEnds(t, lws)
			stop(t, lws)
			ends.check(t)
		})
	}
}

// ends watches the pods of a group until they are deleted.
type ends struct {
	events watch.Interface
	// pods has the last state of the group's pods, by name.
	pods map[string]*corev1.Pod
}

// watchEnds starts a watch of a set's present pods.
func watchEnds(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *ends {
	t.Helper()
	pods := suite.Pods(t, lws)
	events, err := suite.Client.Watch(t.Context(), &corev1.PodList{}, client.InNamespace(lws.Namespace),
		client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: lws.Name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	return &ends{events: events, pods: pods}
}

// check waits until all pods are deleted. When the first one is deleted, all must be Terminating. Each running pod must
// have ended by itself.
func (e *ends) check(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bed.Deadline)
	defer cancel()
	for deleted := 0; deleted < len(e.pods); {
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d pods are deleted", deleted, len(e.pods))
		case event, open := <-e.events.ResultChan():
			if !open {
				t.Fatal("the watch ended")
			}
			pod, isPod := event.Object.(*corev1.Pod)
			if !isPod || e.pods[pod.Name] == nil || e.pods[pod.Name].UID != pod.UID {
				continue // The pod belongs to the next incarnation of the group.
			}
			e.pods[pod.Name] = pod
			if event.Type == watch.Deleted {
				deleted++
				e.checkAllTerminating(t, pod.Name)
				checkDrained(t, pod)
			}
		}
	}
}

// checkAllTerminating reports pods that aren't Terminating although another one is deleted.
func (e *ends) checkAllTerminating(t *testing.T, deleted string) {
	t.Helper()
	for name, pod := range e.pods {
		if pod.DeletionTimestamp == nil {
			t.Errorf("%s is deleted, but %s isn't Terminating", deleted, name)
		}
	}
}

// checkDrained reports a pod whose container didn't end by itself. It skips a crashed container, which may have been
// between two runs.
func checkDrained(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	status := pod.Status.ContainerStatuses[0]
	if status.RestartCount > 0 || status.LastTerminationState.Terminated != nil {
		return
	}
	ended := status.State.Terminated
	if ended == nil || ended.ExitCode != 0 || ended.Message != "drained" {
		t.Errorf("the last state of %s is %+v", pod.Name, status.State)
	}
}
