// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestRestartRounds deletes a worker of each of many groups at once, in many rounds. In each round, each group is
// recreated once. The test doesn't run in parallel, because it keeps the machine busy.
func TestRestartRounds(t *testing.T) {
	const replicas, size, rounds, seed = 50, 3, 20, 1
	g := newGroups(t, replicas, size)
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // Which pods are deleted is no secret.
	for round := range rounds {
		var options []client.DeleteOption
		if round%2 == 1 {
			options = append(options, client.GracePeriodSeconds(0))
		}
		before := g.ready(t)
		victims := g.oneWorkerOfEach(random, before)
		began := time.Now()
		deleteTogether(t, victims, options...)
		g.untilRecreated(t, before, g.all())
		t.Logf("round %d: %d groups were back after %.1f s", round+1, replicas, time.Since(began).Seconds())
	}
	g.checkIncarnations(t)
}

// TestLocalRestartWhileDown kills the operator just before or just after the deletion of pods. After its start, the
// operator recreates each group once.
func TestLocalRestartWhileDown(t *testing.T) {
	const replicas, size, rounds, seed = 10, 3, 20, 2
	g := newGroups(t, replicas, size)
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // Which pods are deleted is no secret.
	for round := range rounds {
		before := g.ready(t)
		victims := g.oneWorkerOfEach(random, before)
		began := time.Now()
		order := "before"
		if round%2 == 0 {
			whileDown(t, func() { deleteTogether(t, victims) })
		} else {
			order = "after"
			deleteTogether(t, victims)
			whileDown(t, func() {})
		}
		g.untilRecreated(t, before, g.all())
		t.Logf("round %d: killed %s the deletions, %d groups were back after %.1f s",
			round+1, order, replicas, time.Since(began).Seconds())
	}
	g.checkIncarnations(t)
}

// TestLocalOrphanedWhileDown deletes leaders and orphans their children while the operator is down. Only the operator
// can delete the orphans.
func TestLocalOrphanedWhileDown(t *testing.T) {
	const replicas, size = 5, 3
	g := newGroups(t, replicas, size)
	before := g.ready(t)
	whileDown(t, func() {
		var leaders []*corev1.Pod
		for _, index := range g.all() {
			leaders = append(leaders, g.group(before, index)[0])
		}
		deleteTogether(t, leaders, client.PropagationPolicy(metav1.DeletePropagationOrphan))
		eventually(t, func(ctx context.Context) error {
			statefulSets, err := statefulSetsIn(g.lws.Namespace)(ctx)
			orphans := 0
			for _, sts := range statefulSets {
				if metav1.GetControllerOf(sts) == nil {
					orphans++
				}
			}
			return errors.Join(err, unless(orphans == replicas, "%d orphans", orphans))
		})
	})
	g.untilRecreated(t, before, g.all())
	g.checkIncarnations(t)
}

// whileDown kills the operator, runs a function, and starts the operator.
func whileDown(t *testing.T, during func()) {
	t.Helper()
	if err := suite.operator.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := suite.operator.Start(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	during()
}

// TestLocalFailures makes the pods of each group fail, one group after the other, in all ways. Each failure recreates
// its group once and no other group.
func TestLocalFailures(t *testing.T) {
	t.Parallel()
	const replicas, size = 20, 3
	deleteLeader := func(policy metav1.DeletionPropagation) func(*testing.T, []*corev1.Pod) {
		return func(t *testing.T, group []*corev1.Pod) {
			t.Helper()
			remove(t, group[0], client.PropagationPolicy(policy))
		}
	}
	crashes := func(how func(*corev1.PodStatus), workers ...int) func(*testing.T, []*corev1.Pod) {
		return func(t *testing.T, group []*corev1.Pod) {
			t.Helper()
			var pods []*corev1.Pod
			for _, worker := range workers {
				pods = append(pods, group[worker])
			}
			crash(t, how, pods...)
		}
	}
	deleteWorkers := func(t *testing.T, group []*corev1.Pod) { t.Helper(); deleteTogether(t, group[1:]) }
	tests := map[string]func(t *testing.T, group []*corev1.Pod){
		"container of a worker restarts":   crashes(restartContainer, 2),
		"container of the leader restarts": crashes(restartContainer, 0),
		"init container restarts":          crashes(restartInitContainer, 1),
		"all containers restart":           crashes(restartContainer, 0, 1, 2),
		"worker is evicted":                crashes(evict, 1),
		"leader is evicted":                crashes(evict, 0),
		"all workers are deleted":          deleteWorkers,
		"leader is deleted, background":    deleteLeader(metav1.DeletePropagationBackground),
		"leader is deleted, foreground":    deleteLeader(metav1.DeletePropagationForeground),
		"leader is deleted, orphan":        deleteLeader(metav1.DeletePropagationOrphan),
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGroups(t, replicas, size, withInitContainer)
			began := time.Now()
			for index := range int32(replicas) {
				before := g.ready(t)
				fail(t, g.group(before, index))
				g.untilRecreated(t, before, []int32{index})
			}
			t.Logf("%d failures, one after the other, took %.1f s", replicas, time.Since(began).Seconds())
			g.checkIncarnations(t)
		})
	}
}

// TestLocalRecreateGroupAfterStart checks that a failure recreates the group only after all pods of the group have run.
func TestLocalRecreateGroupAfterStart(t *testing.T) {
	t.Parallel()
	const gate = "example.com/later"
	namespace := newNamespace(t)
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	lws := newSet(namespace, "late", 1, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate
		template.RestartPolicy = leaderworkersetv1.RecreateGroupAfterStart
		template.LeaderTemplate = ptr.To(podTemplate())
		template.WorkerTemplate.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: gate}}
	})
	create(t, lws)
	untilRecorded := func(incarnations map[string]int, ready ...string) {
		t.Helper()
		eventually(t, func(context.Context) error {
			state := pods.current(t)
			for _, name := range ready {
				if state[name] == nil || !objects.PodReady(state[name]) {
					return fmt.Errorf("%s isn't ready", name)
				}
			}
			return differs("incarnations of the pods", incarnations, pods.incarnations(t))
		})
	}
	start := func() {
		t.Helper()
		for _, name := range []string{"late-0-1", "late-0-2"} {
			edit(t, pods.current(t)[name], func(pod *corev1.Pod) { pod.Spec.SchedulingGates = nil })
		}
	}
	untilRecorded(map[string]int{"late-0": 1, "late-0-1": 1, "late-0-2": 1}, "late-0")

	crash(t, restartContainer, pods.current(t)["late-0"])
	remove(t, pods.current(t)["late-0-1"])
	afterDeletion := map[string]int{"late-0": 1, "late-0-1": 2, "late-0-2": 1}
	untilRecorded(afterDeletion, "late-0")
	start()
	untilRecorded(afterDeletion, podNames("late", 1, 3)...)
	consistently(t, 2*time.Second,
		func() error { return differs("incarnations of the pods", afterDeletion, pods.incarnations(t)) })

	crash(t, restartContainer, pods.current(t)["late-0"])
	afterRestart := map[string]int{"late-0": 2, "late-0-1": 3, "late-0-2": 2}
	untilRecorded(afterRestart, "late-0")
	start()
	untilRecorded(afterRestart, podNames("late", 1, 3)...)
}

// TestLocalRestartPolicyNone checks that a failure recreates no group. A deleted pod is recreated alone, and a pod
// whose container restarts stays.
func TestLocalRestartPolicyNone(t *testing.T) {
	t.Parallel()
	for _, policy := range []leaderworkersetv1.RestartPolicyType{
		leaderworkersetv1.NoneRestartPolicy, leaderworkersetv1.DeprecatedDefaultRestartPolicy,
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			g := newGroups(t, 2, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.LeaderWorkerTemplate.RestartPolicy = policy
			})
			check(t, "stored restartPolicy", leaderworkersetv1.NoneRestartPolicy, g.lws.Spec.LeaderWorkerTemplate.RestartPolicy)
			before := g.ready(t)
			group := g.group(before, 0)
			crash(t, restartContainer, group[0], group[2])
			remove(t, group[1])
			g.until(t, func(state map[string]*corev1.Pod) error {
				next := state[group[1].Name]
				again := next != nil && next.UID != group[1].UID && objects.PodReady(next)
				return unless(again, "%s isn't ready again", group[1].Name)
			})
			want := each(append(podNames("other", 1, 2), podNames(g.lws.Name, 2, 3)...), 1)
			want[group[1].Name] = 2
			consistently(t, 2*time.Second,
				func() error { return differs("incarnations of the pods", want, g.pods.incarnations(t)) })
		})
	}
}

// TestLocalCrashLoop makes a group crash each time that it is available. Each recreation comes after a longer back-off,
// and costs few writes.
func TestLocalCrashLoop(t *testing.T) {
	t.Parallel()
	const (
		slack     = 5 * time.Second        // on a busy machine
		precision = 250 * time.Millisecond // with which the test measures the time of a recreation
		maxWrites = 30                     // of the operator for one restart
	)
	g := newGroups(t, 1, 3)
	mark := now(t)
	var last time.Time
	var table strings.Builder
	table.WriteString("crash | after the last recreation | back-off\n")
	delays := []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second}
	for crashes, delay := range delays {
		before := g.ready(t)
		leader := g.group(before, 0)[0]
		crash(t, restartContainer, leader)
		if delay > 0 {
			untilUnready(t, g.lws, leaderworkersetv1.UnreadyGroup{
				Reason:   leaderworkersetv1.UnreadyCrashed,
				Message:  leader.Name + ": container server Error, exit code 1",
				Restarts: int32(crashes),
			})
			crash(t, restartContainer, g.current(t)[leader.Name]) // The kubelet restarts containers during the back-off.
		}
		g.until(t, func(state map[string]*corev1.Pod) error {
			pod := state[leader.Name]
			return unless(pod == nil || pod.UID != leader.UID || pod.DeletionTimestamp != nil,
				"crash %d: the group hasn't been recreated", crashes+1)
		})
		recreated := time.Now()
		if crashes == 0 {
			last = recreated
		}
		took := recreated.Sub(last)
		fmt.Fprintf(&table, "%5d | %23.1f s | %6.0f s\n", crashes+1, took.Seconds(), delay.Seconds())
		if took < delay-precision || took > delay+slack {
			t.Errorf("crash %d: the group was recreated %.1f s after the last recreation, want %.0f s",
				crashes+1, took.Seconds(), delay.Seconds())
		}
		last = recreated
		g.untilRecreated(t, before, []int32{0})
	}
	g.checkIncarnations(t)
	writes := writesIn(t, mark, g.lws.Namespace)
	if total := sum(writes); total >= maxWrites*len(delays) {
		t.Errorf("%d writes for %d restarts", total, len(delays))
	}
	t.Logf("A group that crashes each time that it is available:\n%s%d writes of the operator: %v",
		table.String(), sum(writes), writes)
}

// TestLocalMaxGroupRestarts checks that the operator restarts a group after its first crash and gives it up after the
// second. A deletion of the leader, its annotation, or a higher limit restarts the group again.
func TestLocalMaxGroupRestarts(t *testing.T) {
	t.Parallel()
	g := newGroups(t, 2, 3, withMaxGroupRestarts(1))
	recreatedAfter := func(fail func(pods []*corev1.Pod)) {
		t.Helper()
		before := g.ready(t)
		fail(g.group(before, 1))
		g.untilRecreated(t, before, []int32{1})
	}
	crashOnce := func(pods []*corev1.Pod) { t.Helper(); crash(t, killForMemory, pods[2]) }
	giveUp := func() {
		t.Helper()
		crashOnce(g.group(g.ready(t), 1))
		untilDegraded(t, g.lws, 1, g.lws.Name+"-1-2: container server OOMKilled, exit code 137")
		consistently(t, time.Second, func() error { return g.wrongIncarnations(t) })
	}

	for _, resume := range []func(pods []*corev1.Pod){
		func(pods []*corev1.Pod) { t.Helper(); remove(t, pods[0]) },
		func(pods []*corev1.Pod) { t.Helper(); askToRecover(t, pods[0]) },
		func([]*corev1.Pod) { t.Helper(); edit(t, g.lws, withMaxGroupRestarts(2)) },
	} {
		recreatedAfter(crashOnce)
		giveUp()
		recreatedAfter(resume)
		untilNotDegraded(t, g.lws)
	}
	g.checkIncarnations(t)
	check(t, "warnings", map[string]int{
		leaderworkersetv1.ReasonReplicaRestartBudgetExceeded: 3, leaderworkersetv1.ReasonRecreateGroup: 4,
	}, warningsOf(t, g.lws))
}

// TestLocalMaxGroupRestartsOfLeaders evicts the leader of a group twice. The StatefulSet controller replaces it both
// times. The second time, the group waits without restarts left until somebody asks for it.
func TestLocalMaxGroupRestartsOfLeaders(t *testing.T) {
	t.Parallel()
	g := newGroups(t, 2, 3, withMaxGroupRestarts(1))
	before := g.ready(t)
	crash(t, evict, g.group(before, 1)[0])
	g.untilRecreated(t, before, []int32{1})

	leader := g.group(g.ready(t), 1)[0]
	crash(t, evict, leader)
	untilDegraded(t, g.lws, 1, leader.Name+": Evicted")
	gate := corev1.PodSchedulingGate{Name: leaderworkersetv1.RestartSchedulingGate}
	waits := func() error {
		next := g.current(t)[leader.Name]
		return unless(next != nil && next.UID != leader.UID && slices.Contains(next.Spec.SchedulingGates, gate),
			"leader pod %+v doesn't wait", next)
	}
	eventually(t, func(context.Context) error { return waits() })
	consistently(t, 2*time.Second, waits)
	askToRecover(t, g.current(t)[leader.Name])
	untilNotDegraded(t, g.lws)
}

func withMaxGroupRestarts(limit int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = &limit }
}

// killForMemory sets the status of a pod whose container used too much memory, and runs again.
func killForMemory(status *corev1.PodStatus) {
	restart(status.ContainerStatuses)
	*status.ContainerStatuses[0].LastTerminationState.Terminated = corev1.ContainerStateTerminated{
		ExitCode: 137, Reason: "OOMKilled",
	}
}

// askToRecover annotates the leader of a group without restarts left.
func askToRecover(t *testing.T, leader *corev1.Pod) {
	t.Helper()
	edit(t, leader.DeepCopy(), func(pod *corev1.Pod) {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, leaderworkersetv1.RecoverAnnotationKey, "true")
	})
}

// untilDegraded waits until the status says that group 1 has no restarts left, and why.
func untilDegraded(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, restarts int32, why string) {
	t.Helper()
	untilUnready(t, lws, leaderworkersetv1.UnreadyGroup{
		Index: 1, Reason: leaderworkersetv1.UnreadyDegraded, Message: why, Restarts: restarts,
	})
	refresh(t, lws)
	degraded := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionDegraded)
	want := fmt.Sprintf("Group 1: no restarts left after %d; last error: %s. To try again, delete pod %s-1, "+
		"annotate it with leaderworkerset.sigs.k8s.io/recover=true, or raise maxGroupRestarts", restarts, why, lws.Name)
	if degraded == nil || degraded.Status != metav1.ConditionTrue || degraded.Message != want ||
		degraded.Reason != leaderworkersetv1.ReasonReplicaRestartBudgetExceeded {
		t.Errorf("condition Degraded is %+v, want the message %q", degraded, want)
	}
}

// untilNotDegraded waits until all groups are ready and have restarts left.
func untilNotDegraded(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		degraded := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionDegraded)
		return unless(degraded == nil && len(lws.Status.UnreadyGroups) == 0 && available(lws), "status %+v", lws.Status)
	})
}

// groups is a set whose groups a test makes fail, beside a set that no test changes. It records the pods and
// StatefulSets of both.
type groups struct {
	lws            *leaderworkersetv1.LeaderWorkerSet
	replicas, size int32
	pods           *recording[*corev1.Pod]
	statefulSets   *recording[*appsv1.StatefulSet]

	// state has the pods after the first recorded changes, as many as the field changes. current applies the later
	// changes.
	state   map[string]*corev1.Pod
	changes int

	// recreated counts how often the test has made the operator recreate each group.
	recreated map[int32]int
}

// newGroups creates both sets in a namespace of their own.
func newGroups(t *testing.T, replicas, size int32, changes ...func(*leaderworkersetv1.LeaderWorkerSet)) *groups {
	t.Helper()
	namespace := newNamespace(t)
	g := &groups{
		lws:          newSet(namespace, "restarted", replicas, size, changes...),
		replicas:     replicas,
		size:         size,
		pods:         record[*corev1.Pod](t, namespace, &corev1.PodList{}),
		statefulSets: record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{}),
		state:        map[string]*corev1.Pod{},
		recreated:    map[int32]int{},
	}
	other := newSet(namespace, "other", 1, 2)
	create(t, g.lws, other)
	untilAvailable(t, other)
	untilAvailable(t, g.lws)
	return g
}

// current returns the last recorded state of the pods, by name.
func (g *groups) current(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	changes := g.pods.soFar(t)
	for _, change := range changes[g.changes:] {
		change.apply(g.state)
	}
	g.changes = len(changes)
	return maps.Clone(g.state)
}

// until waits until the recorded state of the pods passes the check.
func (g *groups) until(t *testing.T, check func(map[string]*corev1.Pod) error) {
	t.Helper()
	eventually(t, func(context.Context) error { return check(g.current(t)) })
}

// all returns the indices of all groups.
func (g *groups) all() []int32 {
	var indices []int32
	for index := range g.replicas {
		indices = append(indices, index)
	}
	return indices
}

// ready waits until all groups are ready and the set is available. It returns the pods by name.
func (g *groups) ready(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	g.until(t, func(state map[string]*corev1.Pod) error {
		for _, name := range podNames(g.lws.Name, g.replicas, g.size) {
			if state[name] == nil || !objects.PodReady(state[name]) {
				return fmt.Errorf("%s isn't ready", name)
			}
		}
		return nil
	})
	untilAvailable(t, g.lws)
	return g.current(t)
}

// group returns the pods of one group by worker index, the leader first.
func (g *groups) group(state map[string]*corev1.Pod, index int32) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, name := range groupNames(g.lws.Name, index, g.size) {
		pods = append(pods, state[name])
	}
	return pods
}

// groupNames returns the names of the pods of one group by worker index, the leader first.
func groupNames(set string, index, size int32) []string {
	names := []string{fmt.Sprintf("%s-%d", set, index)}
	for worker := int32(1); worker < size; worker++ {
		names = append(names, fmt.Sprintf("%s-%d", names[0], worker))
	}
	return names
}

// oneWorkerOfEach picks a random worker of each group.
func (g *groups) oneWorkerOfEach(random *rand.Rand, state map[string]*corev1.Pod) []*corev1.Pod {
	var picked []*corev1.Pod
	for _, index := range g.all() {
		picked = append(picked, g.group(state, index)[1+random.Int32N(g.size-1)])
	}
	return picked
}

// untilRecreated waits until all pods of these groups have other UIDs than before and are ready.
func (g *groups) untilRecreated(t *testing.T, before map[string]*corev1.Pod, indices []int32) {
	t.Helper()
	g.until(t, func(state map[string]*corev1.Pod) error {
		for _, index := range indices {
			for i, pod := range g.group(state, index) {
				if old := g.group(before, index)[i]; pod == nil || pod.UID == old.UID || !objects.PodReady(pod) {
					return fmt.Errorf("%s hasn't been recreated", old.Name)
				}
			}
		}
		return nil
	})
	for _, index := range indices {
		g.recreated[index]++
	}
}

// checkIncarnations checks that each group was recreated as often as the test made it fail, and that nothing else was
// recreated.
func (g *groups) checkIncarnations(t *testing.T) {
	t.Helper()
	g.ready(t)
	consistently(t, 2*time.Second, func() error { return g.wrongIncarnations(t) })
}

// wrongIncarnations returns an error if the pods or StatefulSets had more or fewer incarnations than their groups.
func (g *groups) wrongIncarnations(t *testing.T) error {
	t.Helper()
	wantPods := each(podNames("other", 1, 2), 1)
	wantStatefulSets := each(append(statefulSetNames("other", 1), g.lws.Name), 1)
	for _, index := range g.all() {
		incarnations := 1 + g.recreated[index]
		wantStatefulSets[fmt.Sprintf("%s-%d", g.lws.Name, index)] = incarnations
		for _, name := range groupNames(g.lws.Name, index, g.size) {
			wantPods[name] = incarnations
		}
	}
	return errors.Join(
		differs("incarnations of the pods", wantPods, incarnationsInGroups(t, g.pods)),
		differs("incarnations of the StatefulSets", wantStatefulSets, g.statefulSets.incarnations(t)))
}

// incarnationsInGroups counts the incarnations of each pod. All pods of one name and one worker StatefulSet count as
// one incarnation. The StatefulSet controller recreates a deleted worker until it has observed the deletion of the
// StatefulSet.
func incarnationsInGroups(t *testing.T, pods *recording[*corev1.Pod]) map[string]int {
	t.Helper()
	type incarnation struct {
		pod string
		uid types.UID
	}
	counted := map[incarnation]bool{}
	incarnations := map[string]int{}
	count := func(pod *corev1.Pod) {
		key := incarnation{pod.Name, pod.UID}
		if owner := metav1.GetControllerOf(pod); owner != nil && pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] != "0" {
			key.uid = owner.UID
		}
		if !counted[key] {
			counted[key] = true
			incarnations[pod.Name]++
		}
	}
	for _, pod := range pods.initial {
		count(pod)
	}
	for _, change := range pods.soFar(t) {
		count(change.object)
	}
	return incarnations
}

// differs returns an error if the two values aren't equal.
func differs(what string, want, got any) error {
	diff := cmp.Diff(want, got)
	return unless(diff == "", "%s (-want +got):\n%s", what, diff)
}

// deleteTogether deletes pods at the same time.
func deleteTogether(t *testing.T, pods []*corev1.Pod, options ...client.DeleteOption) {
	t.Helper()
	workqueue.ParallelizeUntil(t.Context(), len(pods), len(pods), func(i int) {
		options := append(slices.Clone(options), client.Preconditions{UID: &pods[i].UID})
		if err := suite.client.Delete(t.Context(), pods[i], options...); err != nil {
			t.Errorf("delete pod %s: %v", pods[i].Name, err)
		}
	})
}

// crash makes simulated pods fail at the same time. Pods that the first failure has already deleted are no error.
func crash(t *testing.T, how func(*corev1.PodStatus), pods ...*corev1.Pod) {
	t.Helper()
	workqueue.ParallelizeUntil(t.Context(), len(pods), len(pods), func(i int) {
		failed := pods[i].DeepCopy()
		failed.ResourceVersion = "" // Update any version of the pod with this UID.
		how(&failed.Status)
		err := suite.client.Status().Update(t.Context(), failed)
		deleted := apierrors.IsNotFound(err) || apierrors.IsConflict(err)
		if err != nil && (!deleted || len(pods) == 1) {
			t.Errorf("status of pod %s: %v", failed.Name, err)
		}
	})
}

// restartContainer sets the status of a pod whose container has ended and runs again.
func restartContainer(status *corev1.PodStatus) { restart(status.ContainerStatuses) }

// restartInitContainer sets the status of a pod whose init container has ended and runs again.
func restartInitContainer(status *corev1.PodStatus) { restart(status.InitContainerStatuses) }

func restart(statuses []corev1.ContainerStatus) {
	statuses[0].RestartCount++
	statuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}
}

// evict sets the status of a pod that the kubelet has evicted.
func evict(status *corev1.PodStatus) {
	status.Phase, status.Reason, status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
}

// withInitContainer adds an init container to all pods of the set.
func withInitContainer(lws *leaderworkersetv1.LeaderWorkerSet) {
	template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
	template.Spec.InitContainers = []corev1.Container{{Name: "init", Image: image}}
}

// untilUnready waits until the set's status reports exactly this group as not ready.
func untilUnready(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, want leaderworkersetv1.UnreadyGroup) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		got := slices.Clone(lws.Status.UnreadyGroups)
		for i := range got {
			if got[i].Since.IsZero() {
				return fmt.Errorf("unready group %d has no since", got[i].Index)
			}
			got[i].Since = metav1.Time{}
		}
		return differs("unreadyGroups", []leaderworkersetv1.UnreadyGroup{want}, got)
	})
}

// writesIn counts the operator's writes in a namespace since the mark, by verb and resource.
func writesIn(t *testing.T, since measure.Mark, namespace string) map[string]int {
	t.Helper()
	writes, err := operatorRequests(since, measure.Request.IsWrite)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, write := range writes {
		if strings.Contains(write.RequestURI, "/namespaces/"+namespace+"/") {
			counts[write.Verb+" "+write.ObjectRef.Resource]++
		}
	}
	return counts
}

func sum(counts map[string]int) int {
	total := 0
	for _, count := range counts {
		total += count
	}
	return total
}
