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

// All pods of a group that restarts, and of a set that is deleted, stop at the same time, and each has its grace period to itself.
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

// ends follows the pods of a group to their ends.
type ends struct {
	events watch.Interface
	// pods are the group's, as last seen, by name.
	pods map[string]*corev1.Pod
}

// watchEnds starts to follow the pods that a set has now.
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

// check waits until all pods are gone. By the time that the first one is, all must have been asked to end; and each one that was running
// must have ended by itself.
func (e *ends) check(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bed.Deadline)
	defer cancel()
	for gone := 0; gone < len(e.pods); {
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d pods are gone", gone, len(e.pods))
		case event, open := <-e.events.ResultChan():
			if !open {
				t.Fatal("the watch ended")
			}
			pod, isPod := event.Object.(*corev1.Pod)
			if !isPod || e.pods[pod.Name] == nil || e.pods[pod.Name].UID != pod.UID {
				continue // the next group's
			}
			e.pods[pod.Name] = pod
			if event.Type == watch.Deleted {
				gone++
				e.checkAllAsked(t, pod.Name)
				checkDrained(t, pod)
			}
		}
	}
}

// checkAllAsked reports pods that haven't been asked to end although another one is gone.
func (e *ends) checkAllAsked(t *testing.T, gone string) {
	t.Helper()
	for name, pod := range e.pods {
		if pod.DeletionTimestamp == nil {
			t.Errorf("%s is gone, and %s hasn't been asked to end", gone, name)
		}
	}
}

// checkDrained reports a pod whose container didn't come to its own end. The one that crashed may have been between two lives.
func checkDrained(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	status := pod.Status.ContainerStatuses[0]
	if status.RestartCount > 0 || status.LastTerminationState.Terminated != nil {
		return
	}
	ended := status.State.Terminated
	if ended == nil || ended.ExitCode != 0 || ended.Message != "drained" {
		t.Errorf("%s was last seen as %+v", pod.Name, status.State)
	}
}
