// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/disruption"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
)

// TestDrain drains a node with kubectl, with the PodDisruptionBudget of docs/operate/disruptions.md. The groups with a
// pod on that node come down one at a time. Each one is whole again, on other nodes, before the next one comes down.
// The pods of the operator and of CoreDNS on the node are evicted as well.
func TestDrain(t *testing.T) {
	const replicas, size int32 = 5, 2
	lws := suite.NewSet(suite.NewNamespace(t), "peers", replicas, size, spreadGroups, bed.Draining(drain))
	suite.Create(t, lws)
	suite.UntilAvailable(t, lws)
	suite.Create(t, disruption.Budget(lws))
	bed.Eventually(t, func(ctx context.Context) error { return evictable(ctx, lws, replicas*size) })
	before := suite.Pods(t, lws)
	node, groups := busiest(before)
	if len(groups) < 2 {
		t.Fatalf("%s has pods of the groups %v only; a drain of one group shows nothing", node, groups)
	}

	recorded := record(t, lws)
	took := drainNode(t, node)
	bed.Eventually(t, recorded.whole)
	suite.UntilAvailable(t, lws)
	recorded.stop()
	t.Logf("kubectl took %.1f s to drain %s, which had pods of the groups %v\n%s",
		took.Seconds(), node, groups, recorded)
	recorded.check(t, groups)
	checkMoved(t, before, suite.Pods(t, lws), node, groups)
}

// spreadGroups keeps each pod of a group on a node of its own.
func spreadGroups(lws *leaderworkersetv1.LeaderWorkerSet) {
	bed.PodSpec(lws).TopologySpreadConstraints = []corev1.TopologySpreadConstraint{disruption.SpreadGroups(lws)}
}

// evictable returns an error unless the budget counts all pods of a set, and allows the eviction of one.
func evictable(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet, pods int32) error {
	var budget policyv1.PodDisruptionBudget
	if err := suite.Client.Get(ctx, client.ObjectKeyFromObject(lws), &budget); err != nil {
		return err
	}
	if budget.Status.ExpectedPods != pods || budget.Status.DisruptionsAllowed != 1 {
		return fmt.Errorf("the status of the budget is %+v", budget.Status)
	}
	return nil
}

// busiest returns the node that has pods of the most groups, and the sorted indices of these groups.
func busiest(pods map[string]*corev1.Pod) (node string, groups []string) {
	byNode := map[string][]string{}
	for _, pod := range pods {
		group := pod.Labels[leaderworkersetv1.GroupIndexLabelKey]
		byNode[pod.Spec.NodeName] = append(byNode[pod.Spec.NodeName], group)
	}
	for _, name := range slices.Sorted(maps.Keys(byNode)) {
		if len(byNode[name]) > len(groups) {
			node, groups = name, slices.Sorted(slices.Values(byNode[name]))
		}
	}
	return node, groups
}

// drainNode drains a node with the command of -kubectl, and returns how long that takes. The end of the test lets the
// node have pods again.
func drainNode(t *testing.T, node string) time.Duration {
	t.Helper()
	t.Cleanup(func() { editNode(t, node, func(node *corev1.Node) { node.Spec.Unschedulable = false }) })
	arguments := []string{"drain", node, "--ignore-daemonsets", "--timeout", bed.Deadline.String()}
	if kubeconfig := flag.Lookup("kubeconfig").Value.String(); kubeconfig != "" {
		arguments = append(arguments, "--kubeconfig", kubeconfig)
	}
	began := time.Now()
	if out, err := exec.CommandContext(t.Context(), *kubectl, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", *kubectl, strings.Join(arguments, " "), err, out)
	}
	return time.Since(began)
}

// checkMoved reports pods of the drained groups that weren't replaced or are on the drained node, and other pods that
// were replaced.
func checkMoved(t *testing.T, before, after map[string]*corev1.Pod, node string, drained []string) {
	t.Helper()
	for name, pod := range before {
		moved := slices.Contains(drained, pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
		switch now := after[name]; {
		case now == nil:
			t.Errorf("%s doesn't exist", name)
		case now.Spec.NodeName == node:
			t.Errorf("%s is on the drained node", name)
		case moved != (now.UID != pod.UID):
			t.Errorf("whether %s was replaced is %t, want %t", name, !moved, moved)
		}
	}
}

// film records which groups of a set are broken.
type film struct {
	lws    *leaderworkersetv1.LeaderWorkerSet
	began  time.Time
	stream watch.Interface
	ended  sync.WaitGroup

	mutex  sync.Mutex
	pods   map[string]*corev1.Pod
	frames []frame
}

// frame has the groups that are broken from a time on.
type frame struct {
	at     time.Time
	broken []int32
}

// record films a set whose groups are whole.
func record(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *film {
	t.Helper()
	labels := client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: lws.Name}
	var list corev1.PodList
	if err := suite.Client.List(t.Context(), &list, client.InNamespace(lws.Namespace), labels); err != nil {
		t.Fatal(err)
	}
	since := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}}
	stream, err := suite.Client.Watch(t.Context(), &corev1.PodList{}, since, client.InNamespace(lws.Namespace), labels)
	if err != nil {
		t.Fatal(err)
	}
	f := &film{lws: lws, began: time.Now(), stream: stream, pods: map[string]*corev1.Pod{}}
	for i := range list.Items {
		f.pods[list.Items[i].Name] = &list.Items[i]
	}
	f.ended.Go(func() {
		for event := range stream.ResultChan() {
			if pod, isPod := event.Object.(*corev1.Pod); isPod {
				f.add(event.Type, pod)
			}
		}
	})
	t.Cleanup(f.stop)
	return f
}

// add adds a frame if a change of a pod breaks a group or makes a group whole.
func (f *film) add(change watch.EventType, pod *corev1.Pod) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.pods[pod.Name] = pod; change == watch.Deleted {
		delete(f.pods, pod.Name)
	}
	if broken := disruption.BrokenGroups(f.lws, f.pods); !slices.Equal(broken, f.broken()) {
		f.frames = append(f.frames, frame{at: time.Now(), broken: broken})
	}
}

// broken returns the groups that are broken in the last frame.
func (f *film) broken() []int32 {
	if len(f.frames) == 0 {
		return nil
	}
	return f.frames[len(f.frames)-1].broken
}

// whole returns an error if groups are broken in the last frame.
func (f *film) whole(context.Context) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if broken := f.broken(); len(broken) > 0 {
		return fmt.Errorf("the groups %v are broken", broken)
	}
	return nil
}

// stop ends the film.
func (f *film) stop() {
	f.stream.Stop()
	f.ended.Wait()
}

// check reports frames with more than one broken group. It also reports groups that weren't broken, or were broken more
// than once, although they had one pod on the drained node.
func (f *film) check(t *testing.T, drained []string) {
	t.Helper()
	var broken []string
	for _, frame := range f.frames {
		if len(frame.broken) > 1 {
			t.Errorf("the groups %v are broken at the same time", frame.broken)
		}
		for _, group := range frame.broken {
			broken = append(broken, fmt.Sprint(group))
		}
	}
	slices.Sort(broken)
	if diff := cmp.Diff(drained, broken); diff != "" {
		t.Errorf("groups that were broken, once for each time (-want +got):\n%s", diff)
	}
}

// String returns the frames with their seconds.
func (f *film) String() string {
	var text strings.Builder
	for _, frame := range f.frames {
		_, _ = fmt.Fprintf(&text, "%6.2fs  broken groups: %v\n", frame.at.Sub(f.began).Seconds(), frame.broken)
	}
	return text.String()
}
