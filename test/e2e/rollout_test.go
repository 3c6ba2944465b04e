// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

const (
	// lastImage is the image that pods are updated to after nextImage or instead of it.
	lastImage = "registry.k8s.io/pause:3.8"

	// badImage is an image whose pods never become ready.
	badImage = "registry.k8s.io/pause:none"
)

// rollout is a test case: a set, what happens to the set, and the expected result. In each case, the budget is kept and
// all pods of a group have the same revision.
type rollout struct {
	replicas, size int32
	budget         budget

	// manifest has the changes of the set before its creation.
	manifest []func(*leaderworkersetv1.LeaderWorkerSet)

	// steps run one after the other, after the creation.
	steps []step

	// restarts has how often each group was recreated, by index. It includes surge groups and groups that were scaled
	// down.
	restarts []span

	// fewestReady is the smallest number of ready groups that the case expects. 0 expects nothing, where the number
	// depends on timing.
	fewestReady int
}

// step is an action on a set, or a wait.
type step func(*testing.T, *rolling)

// rolling is the state of a running test case.
type rolling struct {
	lws      *leaderworkersetv1.LeaderWorkerSet
	budget   budget
	film     *film
	versions *recording[*leaderworkersetv1.LeaderWorkerSet]

	// lost has the leader that each group had when losePod deleted one of its pods, by index.
	lost map[int]*corev1.Pod
}

// budget has the numbers or percentages of a rollout strategy. An empty maxUnavailable is 1, an empty maxSurge 0.
type budget struct{ maxUnavailable, maxSurge string }

// span is a range of restarts.
type span struct{ least, most int }

var never, once, twice, atMostOnce, onceOrTwice = span{0, 0}, span{1, 1}, span{2, 2}, span{0, 1}, span{1, 2}

// run runs a test case and its checks.
func (c rollout) run(t *testing.T) *rolling {
	t.Helper()
	namespace := newNamespace(t)
	r := &rolling{
		budget:   c.budget,
		film:     newFilm(t, namespace, "roll"),
		versions: recordSets(t, namespace),
		lost:     map[int]*corev1.Pod{},
		lws: newSet(namespace, "roll", c.replicas, c.size,
			c.budget.apply, readyAfter("500ms"), terminatesAfter("200ms")),
	}
	for _, change := range c.manifest {
		change(r.lws)
	}
	create(t, r.lws)
	for _, step := range c.steps {
		step(t, r)
	}
	for _, err := range []error{r.film.overspent(t, c.budget), r.film.mixed(t), r.wrongRestarts(t, c.restarts)} {
		if err != nil {
			t.Error(err)
		}
	}
	if fewest := r.film.fewestReady(t); c.fewestReady > 0 {
		check(t, "fewest ready groups", c.fewestReady, fewest)
	}
	return r
}

// wrongRestarts returns an error if a group was recreated more or less often than its span allows.
func (r *rolling) wrongRestarts(t *testing.T, want []span) error {
	t.Helper()
	incarnations := r.film.incarnations(t)
	wrong := len(incarnations) > len(want)
	var got []int
	for index, span := range want {
		restarts := len(incarnations[index]) - 1
		got = append(got, restarts)
		wrong = wrong || restarts < span.least || restarts > span.most
	}
	return unless(!wrong, "%d groups, restarts %v, want %v", len(incarnations), got, want)
}

// apply sets the budget of a set.
func (b budget) apply(lws *leaderworkersetv1.LeaderWorkerSet) {
	unavailable, surge := b.parsed()
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
		MaxUnavailable: &unavailable, MaxSurge: &surge,
	}
}

func (b budget) parsed() (unavailable, surge intstr.IntOrString) {
	return intstr.Parse(cmp.Or(b.maxUnavailable, "1")), intstr.Parse(cmp.Or(b.maxSurge, "0"))
}

// of returns the budget for a number of replicas, in groups.
func (b budget) of(t *testing.T, replicas int) (maxUnavailable, maxSurge int) {
	t.Helper()
	unavailable, surge := b.parsed()
	maxUnavailable, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, replicas, false)
	if err != nil {
		t.Fatal(err)
	}
	if maxSurge, err = intstr.GetScaledValueFromIntOrPercent(&surge, replicas, true); err != nil {
		t.Fatal(err)
	}
	return maxUnavailable, min(maxSurge, replicas)
}

// withImage sets the image of the pods. Pods with badImage never become ready; other pods become ready after 500 ms.
func withImage(image string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = image
		if image == badImage {
			readyAfter(cluster.ReadyNever)(lws)
		} else {
			readyAfter("500ms")(lws)
		}
	}
}

func withReplicas(replicas int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(replicas) }
}

func withSize(size int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = ptr.To(size) }
}

func withPartition(partition int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To(partition)
	}
}

// update edits the set.
func update(changes ...func(*leaderworkersetv1.LeaderWorkerSet)) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		edit(t, r.lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			for _, change := range changes {
				change(lws)
			}
		})
	}
}

// untilComplete waits until the set is available, all groups are ready, and the groups from the partition on match the
// spec.
func untilComplete(t *testing.T, r *rolling) {
	t.Helper()
	untilAvailable(t, r.lws)
	r.versions.until(t, recordedAvailable(r.lws))
	eventually(t, func(context.Context) error { return r.unsettled(r.film.current(t), len(r.film.pods.current(t))) })
}

func (r *rolling) unsettled(now frame, pods int) error {
	wanted := r.lws.Spec.LeaderWorkerTemplate
	replicas, partition := int(*r.lws.Spec.Replicas), int(*r.lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition)
	members := 0
	for index := range replicas {
		group := now.groups[index]
		if !group.ready {
			return fmt.Errorf("group %d isn't ready", index)
		}
		current := imageOf(group.leader) == wanted.WorkerTemplate.Spec.Containers[0].Image &&
			groupSize(group.leader) == int(*wanted.Size)
		if !current && index >= partition {
			return fmt.Errorf("group %d has %d pods with %s", index, groupSize(group.leader), imageOf(group.leader))
		}
		members += groupSize(group.leader)
	}
	return unless(len(now.groups) == replicas && pods == members, "%d groups with %d pods, want %d with %d",
		len(now.groups), pods, replicas, members)
}

// untilGroup waits until a group with a leader meets a condition. The error message describes the condition by what.
func untilGroup(index int, what string, holds func(liveGroup) bool) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		eventually(t, func(context.Context) error {
			group := r.film.current(t).groups[index]
			return unless(group.leader != nil && holds(group), "group %d isn't %s", index, what)
		})
	}
}

// untilCreated waits until a group has been created with an image.
func untilCreated(index int, image string) step {
	return untilGroup(index, "created with "+image, func(group liveGroup) bool { return imageOf(group.leader) == image })
}

// untilReady waits until a group is ready with an image.
func untilReady(index int, image string) step {
	return untilGroup(index, "ready with "+image, func(group liveGroup) bool {
		return imageOf(group.leader) == image && group.ready
	})
}

// untilUnchanged waits until the set, its pods and its StatefulSets haven't changed for 2 seconds.
func untilUnchanged(t *testing.T, r *rolling) {
	t.Helper()
	const rest = 2 * time.Second
	changes, since := r.changes(t), time.Now()
	eventually(t, func(context.Context) error {
		if latest := r.changes(t); latest != changes {
			changes, since = latest, time.Now()
		}
		return unless(time.Since(since) >= rest, "the set or its children still change")
	})
}

// changes returns the number of recorded changes of the set, its pods and its StatefulSets.
func (r *rolling) changes(t *testing.T) int {
	t.Helper()
	return len(r.film.pods.soFar(t)) + len(r.film.statefulSets.soFar(t)) + len(r.versions.soFar(t))
}

// losePod waits until a group is ready, then deletes one of its pods.
func losePod(index, worker int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		untilGroup(index, "ready", func(group liveGroup) bool { return group.ready })(t, r)
		leader := r.film.current(t).groups[index].leader
		r.film.disturbed[leader.UID] = true
		r.lost[index] = leader
		name := groupNames(r.lws.Name, int32(index), int32(worker)+1)[worker] //nolint:gosec // Small numbers.
		pod := r.film.pods.current(t)[name]
		remove(t, pod, client.Preconditions{UID: &pod.UID})
	}
}

// untilRestored waits until a group that has lost a pod is ready again. It checks that the next incarnation has the
// group's previous revision and size, because the partition hadn't released the group.
func untilRestored(index int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		lost := r.lost[index]
		var incarnations []*corev1.Pod
		isLost := func(leader *corev1.Pod) bool { return leader.UID == lost.UID }
		eventually(t, func(context.Context) error {
			incarnations = r.film.incarnations(t)[index]
			return unless(!isLost(incarnations[len(incarnations)-1]) && r.film.current(t).groups[index].ready,
				"group %d isn't ready again", index)
		})
		next := incarnations[slices.IndexFunc(incarnations, isLost)+1]
		check(t, fmt.Sprintf("traits of group %d before and after its recreation", index), traitsOf(lost), traitsOf(next))
	}
}
